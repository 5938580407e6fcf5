/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The framing of a link: however a stream is cut into reads, the same frames
 * come out of it, and none reaches beyond what was read.
 *
 * Input: one byte of flags (1: vnet headers, 2: records), one of how much a
 * read takes, the stream.
 */
#include "fuzz.h"
#include "packet/packet.h"
#include "wire/framer.h"

#include <string.h>

#include <glib.h>

#define ROOM (2 * PACKET_MAX_LEN)

/* Adds what came out to @seen: results, lengths, payloads. */
static bool fuzz_take_all(Framer *framer, GByteArray *seen)
{
    FramerResult result;
    FramerFrame frame;

    while ((result = framer_next(framer, &frame)) <= FRAMER_RECORD) {
        g_assert(frame.len <= PACKET_MAX_LEN);
        g_assert(frame.vnet_hdr_len <= frame.len);
        g_assert(frame.payload >= framer->buffer &&
                 frame.payload + frame.len <= framer->buffer + framer->end);
        g_byte_array_append(seen, (const uint8_t *)&frame.len, 4);
        g_byte_array_append(seen, (const uint8_t *)&frame.vnet_hdr_len, 4);
        g_byte_array_append(seen, frame.payload, frame.len);
    }
    if (result == FRAMER_MORE) {
        return true;
    }
    g_byte_array_append(seen, (const uint8_t *)&result, sizeof(result));
    return false;
}

static GByteArray *fuzz_read(const uint8_t *data, size_t size, uint8_t flags,
                             size_t most)
{
    GByteArray *seen = g_byte_array_new();
    bool going = true;
    Framer framer;

    framer_init(&framer, flags & 1, ROOM);
    framer.records = flags & 2;
    while (going && size > 0) {
        size_t room, n;
        uint8_t *to = framer_room(&framer, &room);

        n = MIN(MIN(room, most), size);
        memcpy(to, data, n);
        framer_filled(&framer, n);
        data += n;
        size -= n;
        going = fuzz_take_all(&framer, seen);
    }
    framer_end_stream(&framer);
    g_assert(!going || framer.start == framer.end);
    framer_free(&framer);
    return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    GByteArray *whole, *pieces;

    if (size < 2) {
        return 0;
    }
    whole = fuzz_read(data + 2, size - 2, data[0], ROOM);
    pieces = fuzz_read(data + 2, size - 2, data[0], 1 + data[1] % 64);
    g_assert(whole->len == pieces->len);
    g_assert(whole->len == 0 ||
             memcmp(whole->data, pieces->data, whole->len) == 0);
    g_byte_array_unref(whole);
    g_byte_array_unref(pieces);
    return 0;
}
