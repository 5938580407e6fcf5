/* SPDX-License-Identifier: BSD-2-Clause */
/* The sending end of a link against a chardev that takes what it likes: each
 * frame arrives once, whole and in order, or is counted, and none is looked at
 * after its batch. */
#include "chardev/frame-writer.h"

#include "packet/vnet.h"
#include "wire-fixture.h"
#include "wire/framer.h"

#include <string.h>

#include <glib.h>

#define FRAMES 2000
#define LEN_MAX 3000
#define UNLIMITED ((size_t)1 << 30)

typedef struct Wire {
    Chardev chardev;
    size_t room;       /* bytes that it takes */
    GByteArray *bytes; /* that it took since the peer came */
    unsigned writes;
    unsigned rooms; /* how often it said that there is room again */
    FrameWriter *writer;
    Counter passed, sent, dropped;
    uint32_t vnet_len;
    uint8_t batch[64][PACKET_RECORD_HEADROOM + LEN_MAX];
    unsigned n; /* of the batch */
} Wire;

static ssize_t wire_writev(Chardev *chardev, const struct iovec *iov, int n)
{
    Wire *wire = (Wire *)chardev;

    wire->writes++;
    return wire_take(wire->bytes, &wire->room, iov, n);
}

static const ChardevClass wire_class = {.writev = wire_writev};

static void wire_writable(void *opaque)
{
    (void)opaque;
}

static const ChardevHandlers wire_chardev_handlers = {
    .writable = wire_writable,
};

static void wire_done(void *opaque, PacketRecord *record, FrameFate fate)
{
    Wire *wire = opaque;

    g_assert_true(fate == FRAME_SENT || fate == FRAME_DROPPED);
    counter_add(fate == FRAME_SENT ? &wire->sent : &wire->dropped, 1,
                record->len);
}

static void wire_passed(void *opaque, Counter frames)
{
    Wire *wire = opaque;

    counter_add(&wire->passed, frames.packets, frames.bytes);
}

static void wire_has_room(void *opaque)
{
    ((Wire *)opaque)->rooms++;
}

static const FrameWriterHandlers wire_handlers = {
    .done = wire_done,
    .passed = wire_passed,
    .room = wire_has_room,
};

static void wire_init(Wire *wire, uint32_t vnet_len, uint64_t limit,
                      FullPolicy policy)
{
    FrameWriterConfig config = {
        .vnet_len = vnet_len,
        .limit = limit,
        .policy = policy,
        .shipping = true,
    };

    memset(wire, 0, sizeof(*wire));
    wire->chardev.object.class = &wire_class.object;
    wire->chardev.handlers = &wire_chardev_handlers;
    wire->chardev.connected = true;
    wire->room = UNLIMITED;
    wire->bytes = g_byte_array_new();
    wire->vnet_len = vnet_len;
    wire->writer =
        frame_writer_new_shared(&wire->chardev, &config, &wire_handlers, wire);
}

static void wire_clear(Wire *wire)
{
    frame_writer_free(wire->writer);
    g_byte_array_unref(wire->bytes);
}

/* Frame @number has a length and bytes of its own. */
static uint32_t frame_len(uint32_t number)
{
    return 14 + number * 37 % (LEN_MAX - 14);
}

static FrameAppend wire_append(Wire *wire, uint32_t number, uint16_t headroom)
{
    uint8_t *data = wire->batch[wire->n++] + PACKET_RECORD_HEADROOM;
    Packet packet = {
        .data = data,
        .len = frame_len(number),
        .headroom = headroom,
        .vnet.hdr_len = (uint16_t)number,
    };

    memset(data, (int)number, packet.len);
    memcpy(data, &number, sizeof(number));
    return frame_writer_append(wire->writer, &packet);
}

/* The batch ends: its bytes are somebody else's. */
static void wire_end_batch(Wire *wire)
{
    unsigned writes = wire->writes;
    bool waits = wire->chardev.want_write;

    frame_writer_run(wire->writer);
    if (waits) { /* for it to say that it takes something again */
        g_assert_cmpuint(wire->writes, ==, writes);
        frame_writer_writable(wire->writer);
    }
    memset(wire->batch, 0xee, sizeof(wire->batch));
    wire->n = 0;
}

static uint32_t check_frame(const Wire *wire, const FramerFrame *frame)
{
    Packet packet = vnet_parse(frame->payload, frame->len, frame->vnet_hdr_len);
    uint32_t number;

    g_assert_cmpuint(frame->vnet_hdr_len, ==, wire->vnet_len);
    g_assert_cmpuint(packet.len, >=, sizeof(number));
    memcpy(&number, packet.data, sizeof(number));
    g_assert_cmpuint(packet.len, ==, frame_len(number));
    for (uint32_t i = sizeof(number); i < packet.len; i++) {
        g_assert_cmpuint(packet.data[i], ==, number & 0xff);
    }
    if (wire->vnet_len > 0) {
        g_assert_cmpuint(packet.vnet.hdr_len, ==, (uint16_t)number);
    }
    return number;
}

/* All that the peer got is whole and in order; returns how many frames, and
 * the number of the last. */
static unsigned wire_check(const Wire *wire, uint32_t *last)
{
    Framer framer;
    FramerFrame frame;
    unsigned n = 0;

    framer_init(&framer, wire->vnet_len > 0,
                wire->bytes->len + FRAMER_HEADER_MAX + PACKET_MAX_LEN);
    memcpy(framer.buffer, wire->bytes->data, wire->bytes->len);
    framer_filled(&framer, wire->bytes->len);
    while (framer_next(&framer, &frame) == FRAMER_FRAME) {
        uint32_t number = check_frame(wire, &frame);

        if (n++ > 0) {
            g_assert_cmpuint(number, >, *last);
        }
        *last = number;
    }
    framer_free(&framer);
    return n;
}

static void check_account(const Wire *wire, unsigned appended)
{
    Counter waiting = frame_writer_waiting(wire->writer);

    g_assert_cmpuint(wire->passed.packets + wire->sent.packets +
                         wire->dropped.packets + waiting.packets,
                     ==, appended);
}

/* A peer that takes everything gets it with one write a batch, and nothing is
 * copied. */
static void test_in_place(void)
{
    static const uint32_t vnet_lens[] = {0, 10, 12};
    Wire wire;
    uint32_t last;

    for (unsigned i = 0; i < G_N_ELEMENTS(vnet_lens); i++) {
        wire_init(&wire, vnet_lens[i], UNLIMITED, FULL_DROP_NEWEST);
        for (uint32_t k = 0; k < 64; k++) {
            wire_append(&wire, k, PACKET_RECORD_HEADROOM);
        }
        wire_end_batch(&wire);
        g_assert_cmpuint(wire_check(&wire, &last), ==, 64);
        g_assert_cmpuint(wire.writes, ==, 1);
        g_assert_cmpuint(wire.passed.packets, ==, 64);
        g_assert_cmpuint(frame_writer_queue(wire.writer)->memory, ==, 0);
        wire_clear(&wire);
    }
}

/* One that takes as much as it likes, and frames with and without room. */
static void stutter(Wire *wire)
{
    uint32_t last = 0, number = 0;

    while (number < FRAMES) {
        wire->room = (size_t)g_test_rand_int_range(0, 150000);
        for (int n = g_test_rand_int_range(1, 64); n > 0; n--) {
            uint16_t headroom =
                g_test_rand_int_range(0, 8) > 0 ? PACKET_RECORD_HEADROOM : 4;

            g_assert_cmpint(wire_append(wire, number++, headroom), ==,
                            FRAME_APPEND_OK);
        }
        wire_end_batch(wire);
        check_account(wire, number);
    }
    wire->room = UNLIMITED;
    frame_writer_writable(wire->writer);
    check_account(wire, number);
    g_assert_cmpuint(wire_check(wire, &last), ==, number);
}

/* Now and then a batch passes in place, and now and then one has to wait. */
static void test_stuttering(void)
{
    uint64_t passed = 0, sent = 0;
    Wire wire;

    for (unsigned i = 0; i < 20; i++) {
        wire_init(&wire, 12, UNLIMITED, FULL_DROP_NEWEST);
        stutter(&wire);
        passed += wire.passed.packets;
        sent += wire.sent.packets;
        wire_clear(&wire);
    }
    g_assert_cmpuint(passed, >, 0);
    g_assert_cmpuint(sent, >, 0);
}

/* The frame that a lost connection cut goes out whole on the next. */
static void test_cut(void)
{
    Wire wire;
    uint32_t last = 0;

    wire_init(&wire, 0, UNLIMITED, FULL_DROP_NEWEST);
    wire.room = 4 + frame_len(0) + 7;
    for (uint32_t k = 0; k < 3; k++) {
        wire_append(&wire, k, PACKET_RECORD_HEADROOM);
    }
    wire_end_batch(&wire);
    g_assert_cmpuint(wire.passed.packets, ==, 1);
    wire.chardev.connected = false;
    frame_writer_closed(wire.writer);
    g_byte_array_set_size(wire.bytes, 0);
    wire.room = UNLIMITED;
    wire.chardev.connected = true;
    frame_writer_opened(wire.writer);
    g_assert_cmpuint(wire_check(&wire, &last), ==, 2);
    g_assert_cmpuint(last, ==, 2);
    check_account(&wire, 3);
    wire_clear(&wire);
}

/* A connection that is lost within a batch: what was lent is kept. */
static void test_cut_in_batch(void)
{
    Wire wire;
    uint32_t last = 0;

    wire_init(&wire, 0, UNLIMITED, FULL_DROP_NEWEST);
    wire_append(&wire, 0, PACKET_RECORD_HEADROOM);
    wire.chardev.connected = false;
    frame_writer_closed(wire.writer);
    g_assert_cmpint(wire_append(&wire, 1, PACKET_RECORD_HEADROOM), ==,
                    FRAME_APPEND_DISCONNECTED);
    wire_end_batch(&wire);
    wire.chardev.connected = true;
    frame_writer_opened(wire.writer);
    g_assert_cmpuint(wire_check(&wire, &last), ==, 1);
    check_account(&wire, 1);
    wire_clear(&wire);
}

/* It stops with half a frame out, and starts again, with a later frame, before
 * the peer takes the rest. */
static void test_start_again(void)
{
    Wire wire;
    uint32_t last = 0;

    wire_init(&wire, 0, UNLIMITED, FULL_DROP_NEWEST);
    wire.room = 7;
    for (uint32_t k = 0; k < 3; k++) {
        wire_append(&wire, k, PACKET_RECORD_HEADROOM);
    }
    wire_end_batch(&wire);
    frame_writer_stop(wire.writer);
    frame_writer_start(wire.writer, 2);
    wire.room = UNLIMITED;
    frame_writer_writable(wire.writer);
    g_assert_true(frame_writer_is_shipping(wire.writer));
    g_assert_cmpuint(wire_check(&wire, &last), ==, 2);
    g_assert_cmpuint(last, ==, 2);
    wire_clear(&wire);
}

/* What waits never has more than the one frame that reached the limit. */
static void test_full(FullPolicy policy)
{
    Wire wire;
    uint32_t number = 0, last = 0;
    unsigned refused = 0;

    wire_init(&wire, 12, 20000, policy);
    while (number < FRAMES) {
        wire.room = (size_t)g_test_rand_int_range(0, 80000);
        for (int n = g_test_rand_int_range(1, 64); n > 0; n--) {
            refused += wire_append(&wire, number++, PACKET_RECORD_HEADROOM) !=
                       FRAME_APPEND_OK;
            g_assert_cmpuint(frame_writer_waiting(wire.writer).bytes, <,
                             20000 + LEN_MAX);
        }
        wire_end_batch(&wire);
        check_account(&wire, number - refused);
    }
    wire.room = UNLIMITED;
    frame_writer_writable(wire.writer);
    g_assert_cmpuint(refused > 0, ==, policy != FULL_DROP_OLDEST);
    g_assert_cmpuint(wire.dropped.packets > 0, ==, policy == FULL_DROP_OLDEST);
    g_assert_cmpuint(wire_check(&wire, &last), ==,
                     wire.passed.packets + wire.sent.packets);
    wire_clear(&wire);
}

static void test_drop_newest(void)
{
    test_full(FULL_DROP_NEWEST);
}

static void test_drop_oldest(void)
{
    test_full(FULL_DROP_OLDEST);
}

/* Who was refused hears of room once, when a quarter is free, so that he does
 * not go on frame by frame. */
static void test_room(void)
{
    Wire wire;
    uint32_t number = 0;

    wire_init(&wire, 0, 40000, FULL_BLOCK);
    wire.room = 0;
    while (wire_append(&wire, number, PACKET_RECORD_HEADROOM) ==
           FRAME_APPEND_OK) {
        number++;
        wire_end_batch(&wire);
    }
    while (wire.rooms == 0) {
        wire.room = 1000;
        wire_end_batch(&wire);
        g_assert_cmpuint(wire.rooms > 0, <=,
                         frame_writer_waiting(wire.writer).bytes < 30000);
    }
    g_assert_cmpuint(frame_writer_waiting(wire.writer).bytes, >, 25000);
    wire.room = UNLIMITED;
    wire_end_batch(&wire);
    g_assert_cmpuint(wire.rooms, ==, 1);
    g_assert_cmpuint(wire.sent.packets, ==, number);
    wire_clear(&wire);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/frame-writer/in-place", test_in_place);
    g_test_add_func("/frame-writer/stuttering", test_stuttering);
    g_test_add_func("/frame-writer/cut", test_cut);
    g_test_add_func("/frame-writer/cut-in-batch", test_cut_in_batch);
    g_test_add_func("/frame-writer/start-again", test_start_again);
    g_test_add_func("/frame-writer/drop-newest", test_drop_newest);
    g_test_add_func("/frame-writer/drop-oldest", test_drop_oldest);
    g_test_add_func("/frame-writer/room", test_room);
    return g_test_run();
}
