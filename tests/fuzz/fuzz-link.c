/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a receiver tells the sender of a link: however it is cut, the same
 * records come out of it, and whatever they say, the sender goes on with a
 * frame that it has.
 *
 * Input: one byte of how much a read takes, one of what the sender has, the
 * stream.
 */
#include "fuzz.h"
#include "wire/link-sender.h"

#include <string.h>

#include <glib.h>

static uint64_t fuzz_digest(void *opaque, uint64_t number, uint64_t count)
{
    const LinkStock *stock = opaque;

    g_assert(number <= stock->reach && count > 0);
    return 0;
}

static void fuzz_hear(LinkSender *sender, const LinkRecord *record,
                      uint8_t shape)
{
    LinkStock stock = {.oldest = shape % 8,
                       .sent = 8 + shape / 8,
                       .reach = 8 + shape / 8 + shape % 2,
                       .digest = fuzz_digest,
                       .opaque = &stock};
    LinkRecord answer;
    uint64_t next;

    if (record->type == LINK_STATE) {
        next = link_sender_answered(sender, record, &stock, &answer);
        g_assert(next >= stock.oldest && next <= stock.reach);
        g_assert(answer.next == next && answer.session != 0);
    } else if (record->type == LINK_ACK) {
        link_sender_ack(sender, record, stock.sent);
    }
    g_assert(sender->settled <= sender->received);
    g_assert(sender->received <= stock.reach);
}

static GByteArray *fuzz_read(const uint8_t *data, size_t size, size_t most,
                             uint8_t shape)
{
    GByteArray *seen = g_byte_array_new();
    LinkInput input = {.have = 0};
    LinkSender sender = {.phase = LINK_ASKING};
    LinkResult result = LINK_MORE;
    LinkRecord record;

    while (size > 0 && result != LINK_GARBAGE) {
        size_t n = MIN(most, size), left = n;
        const uint8_t *at = data;

        while ((result = link_input_take(&input, &at, &left, &record)) ==
               LINK_RECORD) {
            g_byte_array_append(seen, (const uint8_t *)&record, sizeof(record));
            fuzz_hear(&sender, &record, shape);
        }
        data += n;
        size -= n;
    }
    return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    GByteArray *whole, *pieces;

    if (size < 2) {
        return 0;
    }
    whole = fuzz_read(data + 2, size - 2, size, data[1]);
    pieces = fuzz_read(data + 2, size - 2, 1 + data[0] % 64, data[1]);
    g_assert(whole->len == pieces->len);
    g_assert(whole->len == 0 ||
             memcmp(whole->data, pieces->data, whole->len) == 0);
    g_byte_array_unref(whole);
    g_byte_array_unref(pieces);
    return 0;
}
