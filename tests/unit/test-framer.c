/* SPDX-License-Identifier: BSD-2-Clause */
#include "packet/packet.h"
#include "wire/framer.h"

#include <string.h>

#include <glib.h>

#define SMALLEST (FRAMER_HEADER_MAX + PACKET_MAX_LEN)

/* Reads @n bytes of @bytes into the framer, as far as it has room. */
static size_t feed(Framer *framer, const uint8_t *bytes, size_t n)
{
    size_t room;
    uint8_t *to = framer_room(framer, &room);

    n = MIN(n, room);
    memcpy(to, bytes, n);
    framer_filled(framer, n);
    return n;
}

static void test_header(void)
{
    static const uint8_t plain[] = {0x00, 0x01, 0x02, 0x03};
    static const uint8_t vnet[] = {0x00, 0x01, 0x02, 0x03, 0, 0, 0, 12};
    uint8_t header[FRAMER_HEADER_MAX];

    g_assert_cmpuint(framer_header(header, false, 0x010203, 12), ==, 4);
    g_assert_cmpmem(header, 4, plain, 4);
    g_assert_cmpuint(framer_header(header, true, 0x010203, 12), ==, 8);
    g_assert_cmpmem(header, 8, vnet, 8);
}

static void test_byte_by_byte(void)
{
    static const uint8_t stream[] = {0,   0,   0, 5, 0, 0, 0, 2, 'v', 'v', 'a',
                                     'b', 'c', 0, 0, 0, 0, 0, 0, 0,   0};
    Framer framer;
    FramerFrame frame;

    framer_init(&framer, true, SMALLEST);
    for (size_t i = 0; i < sizeof(stream); i++) {
        g_assert_cmpuint(feed(&framer, stream + i, 1), ==, 1);
        if (i == 12) {
            g_assert_cmpint(framer_next(&framer, &frame), ==, FRAMER_FRAME);
            g_assert_cmpmem(frame.payload, frame.len, "vvabc", 5);
            g_assert_cmpuint(frame.vnet_hdr_len, ==, 2);
        } else if (i == sizeof(stream) - 1) {
            /* An empty frame is one. */
            g_assert_cmpint(framer_next(&framer, &frame), ==, FRAMER_FRAME);
            g_assert_cmpuint(frame.len, ==, 0);
        }
        g_assert_cmpint(framer_next(&framer, &frame), ==, FRAMER_MORE);
    }
    framer_free(&framer);
}

/* A length of one too many is seen with its last byte, nothing later. */
static void test_oversize(gconstpointer data)
{
    bool vnet = GPOINTER_TO_INT(data);
    Framer framer;
    FramerFrame frame;
    uint8_t header[FRAMER_HEADER_MAX];

    framer_init(&framer, vnet, SMALLEST);
    framer_header(header, vnet, PACKET_MAX_LEN, 0);
    feed(&framer, header, 4);
    g_assert_cmpint(framer_next(&framer, &frame), ==, FRAMER_MORE);
    framer_reset(&framer);
    framer_header(header, vnet, PACKET_MAX_LEN + 1, 0);
    feed(&framer, header, 3);
    g_assert_cmpint(framer_next(&framer, &frame), ==, FRAMER_MORE);
    feed(&framer, header + 3, 1);
    g_assert_cmpint(framer_next(&framer, &frame), ==, FRAMER_OVERSIZE);
    g_assert_cmpuint(frame.len, ==, PACKET_MAX_LEN + 1);
    /* It stays so until a reset. */
    g_assert_cmpint(framer_next(&framer, &frame), ==, FRAMER_OVERSIZE);
    framer_reset(&framer);
    g_assert_cmpint(framer_next(&framer, &frame), ==, FRAMER_MORE);
    feed(&framer, (const uint8_t *)"\xff\xff\xff\xff", 4);
    g_assert_cmpint(framer_next(&framer, &frame), ==, FRAMER_OVERSIZE);
    framer_free(&framer);
}

static void test_malformed(void)
{
    Framer framer;
    FramerFrame frame;
    uint8_t header[FRAMER_HEADER_MAX];

    framer_init(&framer, true, SMALLEST);
    framer_header(header, true, 100, 101);
    feed(&framer, header, 7);
    g_assert_cmpint(framer_next(&framer, &frame), ==, FRAMER_MORE);
    feed(&framer, header + 7, 1);
    g_assert_cmpint(framer_next(&framer, &frame), ==, FRAMER_MALFORMED);
    g_assert_cmpuint(frame.len, ==, 100);
    g_assert_cmpuint(frame.vnet_hdr_len, ==, 101);
    framer_reset(&framer);
    framer_header(header, true, 100, 100);
    feed(&framer, header, 8);
    g_assert_cmpint(framer_next(&framer, &frame), ==, FRAMER_MORE);
    framer_free(&framer);
}

/* The frame's size, with the ends of the range more often than chance. */
static uint32_t random_len(void)
{
    switch (g_test_rand_int_range(0, 8)) {
    case 0:
        return 0;
    case 1:
        return PACKET_MAX_LEN;
    case 2:
        return (uint32_t)g_test_rand_int_range(0, PACKET_MAX_LEN + 1);
    default:
        return (uint32_t)g_test_rand_int_range(1, 1515);
    }
}

typedef struct Sent {
    uint32_t len, vnet_hdr_len, seed;
} Sent;

static uint8_t pattern(const Sent *sent, uint32_t i)
{
    return (uint8_t)(sent->seed + i * 7 + (i >> 8));
}

static GByteArray *random_stream(bool vnet, GArray *frames, unsigned n)
{
    GByteArray *stream = g_byte_array_new();

    for (unsigned i = 0; i < n; i++) {
        Sent sent = {.len = random_len(), .seed = (uint32_t)g_test_rand_int()};
        uint8_t header[FRAMER_HEADER_MAX];
        guint at = stream->len;

        sent.vnet_hdr_len = vnet ? MIN(sent.len, 12) : 0;
        g_byte_array_append(
            stream, header,
            (guint)framer_header(header, vnet, sent.len, sent.vnet_hdr_len));
        at = stream->len;
        g_byte_array_set_size(stream, at + sent.len);
        for (uint32_t j = 0; j < sent.len; j++) {
            stream->data[at + j] = pattern(&sent, j);
        }
        g_array_append_val(frames, sent);
    }
    return stream;
}

static void check_frame(const FramerFrame *frame, const Sent *sent)
{
    g_assert_cmpuint(frame->len, ==, sent->len);
    g_assert_cmpuint(frame->vnet_hdr_len, ==, sent->vnet_hdr_len);
    for (uint32_t j = 0; j < frame->len; j++) {
        g_assert_cmpuint(frame->payload[j], ==, pattern(sent, j));
    }
}

/* Random frames, cut at random places, with buffers of several sizes. */
static void test_random_cuts(gconstpointer data)
{
    bool vnet = GPOINTER_TO_INT(data);
    static const size_t sizes[] = {SMALLEST, SMALLEST + 1, 2 * SMALLEST,
                                   256 * 1024};

    for (size_t round = 0; round < 40; round++) {
        g_autoptr(GArray) frames = g_array_new(FALSE, FALSE, sizeof(Sent));
        g_autoptr(GByteArray) stream = random_stream(vnet, frames, 50);
        int cut_max = 1 << g_test_rand_int_range(1, 18);
        guint seen = 0;
        guint at = 0;
        Framer framer;
        FramerFrame frame;

        framer_init(&framer, vnet, sizes[round % G_N_ELEMENTS(sizes)]);
        while (at < stream->len) {
            size_t cut = (size_t)g_test_rand_int_range(1, cut_max + 1);
            FramerResult result;

            at += (guint)feed(&framer, stream->data + at,
                              MIN(cut, stream->len - at));
            while ((result = framer_next(&framer, &frame)) == FRAMER_FRAME) {
                g_assert_cmpuint(seen, <, frames->len);
                check_frame(&frame, &g_array_index(frames, Sent, seen++));
            }
            g_assert_cmpint(result, ==, FRAMER_MORE);
        }
        g_assert_cmpuint(seen, ==, frames->len);
        framer_free(&framer);
    }
}

/* Frames that were handed out stay in place until the next room is asked. */
static void test_in_place(void)
{
    static const uint8_t stream[] = {0, 0, 0, 1, 'a', 0, 0, 0, 2, 'b', 'c'};
    Framer framer;
    FramerFrame first, second;

    framer_init(&framer, false, SMALLEST);
    feed(&framer, stream, sizeof(stream));
    g_assert_cmpint(framer_next(&framer, &first), ==, FRAMER_FRAME);
    g_assert_cmpint(framer_next(&framer, &second), ==, FRAMER_FRAME);
    g_assert_cmpmem(first.payload, first.len, "a", 1);
    g_assert_cmpmem(second.payload, second.len, "bc", 2);
    g_assert_true(second.payload == first.payload + 5);
    framer_free(&framer);
}

/* A stream that ends in the middle of a frame: the whole ones stay. */
static void test_end_stream(void)
{
    static const uint8_t stream[] = {0, 0, 0, 1, 'a', 0, 0, 0, 2, 'b'};
    static const uint8_t next[] = {0, 0, 0, 1, 'z'};
    Framer framer;
    FramerFrame frame;

    framer_init(&framer, false, SMALLEST);
    feed(&framer, stream, sizeof(stream));
    framer_end_stream(&framer);
    feed(&framer, next, sizeof(next));
    g_assert_cmpint(framer_next(&framer, &frame), ==, FRAMER_FRAME);
    g_assert_cmpmem(frame.payload, frame.len, "a", 1);
    g_assert_cmpint(framer_next(&framer, &frame), ==, FRAMER_FRAME);
    g_assert_cmpmem(frame.payload, frame.len, "z", 1);
    g_assert_cmpint(framer_next(&framer, &frame), ==, FRAMER_MORE);
    framer_free(&framer);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/framer/header", test_header);
    g_test_add_func("/framer/byte-by-byte", test_byte_by_byte);
    g_test_add_data_func("/framer/oversize/plain", GINT_TO_POINTER(false),
                         test_oversize);
    g_test_add_data_func("/framer/oversize/vnet", GINT_TO_POINTER(true),
                         test_oversize);
    g_test_add_func("/framer/malformed", test_malformed);
    g_test_add_data_func("/framer/random-cuts/plain", GINT_TO_POINTER(false),
                         test_random_cuts);
    g_test_add_data_func("/framer/random-cuts/vnet", GINT_TO_POINTER(true),
                         test_random_cuts);
    g_test_add_func("/framer/in-place", test_in_place);
    g_test_add_func("/framer/end-stream", test_end_stream);
    return g_test_run();
}
