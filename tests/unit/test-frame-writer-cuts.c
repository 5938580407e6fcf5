/* SPDX-License-Identifier: BSD-2-Clause */
/* The sending end of a link that cuts super-frames up: what it is given to say
 * of one stands in front of its pieces, on each connection that carries some.
 */
#include "chardev/frame-writer.h"

#include "shaped-frame.h"
#include "wire-fixture.h"
#include "wire/framer.h"
#include "wire/link-record.h"

#include <glib.h>

/* Into so many pieces. */
#define PIECES 5
#define SIZE 1000

typedef struct Wire {
    Chardev chardev;
    size_t room;       /* bytes that it takes */
    GByteArray *bytes; /* that it took since the peer came */
    FrameWriter *writer;
} Wire;

static ssize_t wire_writev(Chardev *chardev, const struct iovec *iov, int n)
{
    Wire *wire = (Wire *)chardev;

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
    (void)opaque;
    (void)record;
    g_assert_true(fate == FRAME_SENT || fate == FRAME_REPEATED);
}

static void wire_cuts(void *opaque, unsigned n)
{
    Wire *wire = opaque;
    uint8_t bytes[LINK_RECORD_MAX];

    frame_writer_tell(
        wire->writer, bytes,
        link_record_put(bytes, &(LinkRecord){.type = LINK_PIECES, .count = n}));
}

static const FrameWriterHandlers wire_handlers = {
    .done = wire_done,
    .cuts = wire_cuts,
};

static void wire_init(Wire *wire)
{
    FrameWriterConfig config = {
        .limit = 1 << 20,
        .retain = true,
        .shipping = true,
    };

    *wire = (Wire){.room = SIZE_MAX, .bytes = g_byte_array_new()};
    wire->chardev.object.class = &wire_class.object;
    wire->chardev.handlers = &wire_chardev_handlers;
    wire->chardev.connected = true;
    wire->writer =
        frame_writer_new_shared(&wire->chardev, &config, &wire_handlers, wire);
}

static void wire_clear(Wire *wire)
{
    frame_writer_free(wire->writer);
    g_byte_array_unref(wire->bytes);
}

static void wire_ship(Wire *wire, const Shape *shape)
{
    Frame frame = frame_make(shape);
    Packet packet = frame_packet(&frame);

    g_assert_cmpint(frame_writer_append(wire->writer, &packet), ==,
                    FRAME_APPEND_OK);
    frame_writer_run(wire->writer);
    g_free(frame.data);
}

/* The connection breaks, and the next one goes on with frame @number. */
static void wire_break(Wire *wire, uint64_t number)
{
    wire->chardev.connected = false;
    frame_writer_closed(wire->writer);
    frame_writer_seek(wire->writer, number);
    g_byte_array_set_size(wire->bytes, 0);
    wire->room = SIZE_MAX;
    wire->chardev.connected = true;
    frame_writer_opened(wire->writer);
}

/* What the peer got: "f" for a frame, and "(n)" for a record that says n. */
static void wire_check(const Wire *wire, const char *expected)
{
    g_autoptr(GString) got = g_string_new(NULL);
    size_t at = 0;

    while (at + 4 <= wire->bytes->len) {
        const uint8_t *bytes = wire->bytes->data + at;
        uint32_t word = bytes_get(bytes, 4);
        uint32_t len = word & ~LINK_RECORD_BIT;
        LinkRecord record;

        if (len > wire->bytes->len - at - 4) {
            break; /* it is cut */
        }
        if (word & LINK_RECORD_BIT) {
            g_assert_true(link_record_parse(bytes + 4, len, &record));
            g_string_append_printf(got, "(%u)", (unsigned)record.count);
        } else {
            g_string_append_c(got, 'f');
        }
        at += 4 + len;
    }
    g_assert_cmpstr(got->str, ==, expected);
}

static const Shape large = {.name = "large",
                            .protocol = TCP,
                            .payload = PIECES * SIZE,
                            .size = SIZE,
                            .flags = ACK};
static const Shape small = {.name = "small", .protocol = UDP, .payload = SIZE};

static void test_in_front(void)
{
    Wire wire;

    wire_init(&wire);
    wire_ship(&wire, &small);
    wire_ship(&wire, &large);
    wire_ship(&wire, &small);
    wire_ship(&wire, &large);
    wire_check(&wire, "f(5)ffffff(5)fffff");
    wire_clear(&wire);
}

/* A peer that takes no more than the record, or than half of it. */
static void test_no_room(void)
{
    for (size_t room = 1; room < 40; room++) {
        Wire wire;

        wire_init(&wire);
        wire.room = room;
        wire_ship(&wire, &large);
        wire_ship(&wire, &small);
        wire.room = SIZE_MAX;
        frame_writer_writable(wire.writer);
        wire_check(&wire, "(5)ffffff");
        wire_clear(&wire);
    }
}

/* It is said again of what the peer lacks, be it one piece, or all of a frame
 * that had gone out whole. */
static void test_broken(void)
{
    static const char *const expected[] = {"(5)fffff", "(4)ffff", "(3)fff",
                                           "(2)ff",    "f",       ""};

    for (unsigned number = 0; number <= PIECES; number++) {
        Wire wire;

        wire_init(&wire);
        wire_ship(&wire, &large);
        wire_check(&wire, "(5)fffff");
        wire_break(&wire, number);
        wire_check(&wire, expected[number]);
        wire_clear(&wire);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/frame-writer/cuts/in-front", test_in_front);
    g_test_add_func("/frame-writer/cuts/no-room", test_no_room);
    g_test_add_func("/frame-writer/cuts/broken", test_broken);
    return g_test_run();
}
