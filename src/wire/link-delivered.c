/* SPDX-License-Identifier: BSD-2-Clause */
#include "wire/link-delivered.h"

#include <endian.h>
#include <string.h>

static uint8_t *put64(uint8_t *at, uint64_t value)
{
    value = htobe64(value);
    memcpy(at, &value, sizeof(value));
    return at + sizeof(value);
}

static uint64_t get64(const uint8_t *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof(value));
    return be64toh(value);
}

size_t link_delivered_put(uint8_t *body, uint64_t rest, uint64_t memory_us,
                          const LinkDigest *digests, unsigned n)
{
    uint8_t *at = put64(put64(body, rest), memory_us);

    for (unsigned i = 0; i < n; i++) {
        at = put64(put64(at, digests[i].digest), digests[i].age_us);
    }
    return (size_t)(at - body);
}

bool link_delivered_parse(const uint8_t *body, size_t len, LinkDelivered *word)
{
    if (len < 16) {
        return false;
    }
    *word = (LinkDelivered){
        .rest = get64(body),
        .memory_us = get64(body + 8),
        .at = body + 16,
        .frames = (len - 16) / 16,
    };
    return true;
}

bool link_delivered_next(LinkDelivered *word, LinkDigest *digest)
{
    if (word->frames == 0) {
        return false;
    }
    *digest = (LinkDigest){get64(word->at), get64(word->at + 8)};
    word->at += 16;
    word->frames--;
    return true;
}
