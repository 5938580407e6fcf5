/* SPDX-License-Identifier: BSD-2-Clause */
#include "wire/link-record.h"

#include <string.h>

#include <glib.h>
#include <xxhash.h>

#define FIELDS_MAX 6

/* The fields of each type, by their place in LinkRecord; 0 ends a list. */
#define FIELD(name) offsetof(LinkRecord, name)
static const size_t link_fields[][FIELDS_MAX + 1] = {
    [LINK_STATE] = {FIELD(epoch), FIELD(session), FIELD(next), FIELD(settled),
                    FIELD(digest)},
    [LINK_SESSION] = {FIELD(session), FIELD(next), FIELD(lost)},
    [LINK_ACK] = {FIELD(next), FIELD(settled)},
    [LINK_CANCELLED] = {0},
    [LINK_FOUND] = {FIELD(next), FIELD(place), FIELD(again), FIELD(taken)},
    [LINK_PLACE] = {FIELD(place), FIELD(count), FIELD(taken), FIELD(flags)},
    [LINK_MISSING] = {FIELD(lost)},
    [LINK_PIECES] = {FIELD(count)},
};

static const size_t *link_fields_of(unsigned type)
{
    static const size_t none[1];

    return type < G_N_ELEMENTS(link_fields) ? link_fields[type] : none;
}

static uint64_t link_get(const uint8_t *bytes, size_t n)
{
    uint64_t value = 0;

    for (size_t i = 0; i < n; i++) {
        value = value << 8 | bytes[i];
    }
    return value;
}

static void link_set(uint8_t *bytes, size_t n, uint64_t value)
{
    for (size_t i = n; i > 0; i--) {
        bytes[i - 1] = (uint8_t)value;
        value >>= 8;
    }
}

size_t link_record_put(uint8_t *bytes, const LinkRecord *record)
{
    const size_t *field = link_fields_of(record->type);
    size_t len = 5;

    G_STATIC_ASSERT(5 + FIELDS_MAX * 8 <= LINK_RECORD_MAX);
    for (; *field; field++) {
        uint64_t value;

        memcpy(&value, (const uint8_t *)record + *field, sizeof(value));
        link_set(bytes + len, 8, value);
        len += 8;
    }
    bytes[4] = (uint8_t)record->type;
    link_set(bytes, 4, LINK_RECORD_BIT | (len - 4));
    return len;
}

size_t link_record_put_head(uint8_t *bytes, LinkType type, size_t len)
{
    bytes[4] = (uint8_t)type;
    link_set(bytes, 4, LINK_RECORD_BIT | (len + 1));
    return 5;
}

bool link_record_parse(const uint8_t *body, size_t len, LinkRecord *record)
{
    const size_t *field;
    size_t at = 1;

    *record = (LinkRecord){0};
    if (len < 1) {
        return false;
    }
    record->type = body[0];
    for (field = link_fields_of(record->type); *field; field++) {
        uint64_t value;

        if (len - at < 8) {
            return false;
        }
        value = link_get(body + at, 8);
        memcpy((uint8_t *)record + *field, &value, sizeof(value));
        at += 8;
    }
    return true;
}

/* How much of the record must be there before more is known of it; 0: that is
 * none. */
static size_t link_input_need(const LinkInput *self)
{
    uint32_t word;

    if (self->have < 4) {
        return 4;
    }
    word = (uint32_t)link_get(self->bytes, 4);
    if (!(word & LINK_RECORD_BIT) ||
        (word & ~LINK_RECORD_BIT) > LINK_BODY_MAX) {
        return 0;
    }
    return 4 + (word & ~LINK_RECORD_BIT);
}

LinkResult link_input_take(LinkInput *self, const uint8_t **bytes, size_t *n,
                           LinkRecord *record)
{
    size_t need, take;

    while ((need = link_input_need(self)) > 0) {
        if (self->have >= 4 && self->have == need) {
            self->have = 0;
            return link_record_parse(self->bytes + 4, need - 4, record)
                       ? LINK_RECORD
                       : LINK_GARBAGE;
        }
        take = MIN(need - self->have, *n);
        if (take == 0) {
            return LINK_MORE;
        }
        memcpy(self->bytes + self->have, *bytes, take);
        self->have += take;
        *bytes += take;
        *n -= take;
    }
    return LINK_GARBAGE;
}

void link_tail_add(LinkTail *tail, const uint8_t *frame, size_t len)
{
    tail->hashes[tail->count++ % LINK_TAIL] =
        XXH3_64bits_withSeed(frame, MIN(len, LINK_TAIL_BYTES), len);
}

uint64_t link_tail_digest(const LinkTail *tail)
{
    uint64_t hashes[LINK_TAIL];
    uint64_t n = MIN(tail->count, LINK_TAIL);

    for (uint64_t i = 0; i < n; i++) {
        hashes[i] = tail->hashes[(tail->count - n + i) % LINK_TAIL];
    }
    return n ? XXH3_64bits(hashes, n * sizeof(hashes[0])) : 0;
}
