/* SPDX-License-Identifier: BSD-2-Clause */
/* The packet queue against a plain model of it. */
#include "packet/queue.h"

#include <string.h>

#include <glib.h>

static void append(PacketQueue *queue, uint32_t len, uint8_t fill)
{
    g_autofree uint8_t *bytes = g_malloc(MAX(len, 1));
    Packet packet = {.data = bytes, .len = len, .time_ns = len};

    memset(bytes, fill, len);
    packet_queue_append(queue, &packet);
}

static void check_record(const PacketRecord *record, uint32_t len, uint8_t fill)
{
    g_assert_nonnull(record);
    g_assert_cmpuint(record->len, ==, len);
    for (uint32_t i = 0; i < len; i += 97) {
        g_assert_cmpuint(record->data[i], ==, fill);
    }
    if (len > 0) {
        g_assert_cmpuint(record->data[len - 1], ==, fill);
    }
}

static uint32_t model_len(uint64_t number)
{
    static const uint32_t lens[] = {60, 1514, 9000,          65549,
                                    0,  14,   PACKET_MAX_LEN};

    return lens[number % G_N_ELEMENTS(lens)];
}

static void test_fifo(void)
{
    PacketQueue queue;
    PacketCursor head;

    packet_queue_init(&queue);
    for (unsigned round = 0; round < 50; round++) {
        for (unsigned i = 0; i < 20; i++) {
            append(&queue, model_len(queue.next), (uint8_t)queue.next);
        }
        for (unsigned i = 0;
             i < (round % 3 ? 25u : 10u) && packet_queue_count(&queue) > 0;
             i++) {
            uint64_t number = queue.head.number;

            head = packet_queue_head(&queue);
            check_record(packet_queue_at(&queue, &head), model_len(number),
                         (uint8_t)number);
            packet_queue_pop(&queue);
        }
    }
    packet_queue_clear(&queue);
    g_assert_cmpuint(packet_queue_count(&queue), ==, 0);
    g_assert_cmpuint(queue.bytes, ==, 0);
    /* What an empty queue keeps is bounded. */
    g_assert_cmpuint(queue.memory, <=, 2 * 128 * 1024);
    packet_queue_free(&queue);
    g_assert_cmpuint(queue.memory, ==, 0);
}

/* A cursor at the end stays good while chunks behind it come and go. */
static void test_cursor(void)
{
    PacketQueue queue;
    PacketCursor cursor;
    uint64_t seen = 0;

    packet_queue_init(&queue);
    cursor = packet_queue_head(&queue);
    g_assert_null(packet_queue_at(&queue, &cursor));
    for (unsigned round = 0; round < 300; round++) {
        PacketRecord *record;

        for (unsigned i = 0; i < 1 + round % 7; i++) {
            append(&queue, 9000, (uint8_t)queue.next);
        }
        while ((record = packet_queue_at(&queue, &cursor))) {
            g_assert_cmpuint(cursor.number, ==, seen);
            check_record(record, 9000, (uint8_t)seen);
            seen++;
            packet_cursor_advance(&cursor);
        }
        g_assert_null(packet_queue_at(&queue, &cursor));
        while (packet_queue_count(&queue) > round % 2) {
            packet_queue_pop(&queue);
        }
    }
    g_assert_cmpuint(seen, ==, queue.next);
    packet_queue_free(&queue);
}

/* Others come in front of what is in it: that is appended once more behind
 * them, from where it lies, and then popped. */
static void test_put_in_front(void)
{
    PacketQueue queue;

    for (unsigned n = 0; n < 40; n++) {
        PacketCursor cursor;
        PacketRecord *record;

        packet_queue_init(&queue);
        for (unsigned i = 0; i < n; i++) {
            append(&queue, model_len(i), (uint8_t)i);
        }
        append(&queue, 9000, 0xff);
        cursor = packet_queue_head(&queue);
        for (; cursor.number < n; packet_cursor_advance(&cursor)) {
            Packet view = packet_record_view(packet_queue_at(&queue, &cursor));

            packet_queue_append(&queue, &view);
        }
        while (queue.head.number < n) {
            packet_queue_pop(&queue);
        }
        cursor = packet_queue_head(&queue);
        check_record(packet_queue_at(&queue, &cursor), 9000, 0xff);
        for (unsigned i = 0; i < n; i++) {
            packet_cursor_advance(&cursor);
            record = packet_queue_at(&queue, &cursor);
            check_record(record, model_len(i), (uint8_t)i);
            g_assert_cmpint(record->time_ns, ==, model_len(i));
        }
        g_assert_cmpuint(packet_queue_count(&queue), ==, n + 1);
        packet_queue_free(&queue);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/queue/fifo", test_fifo);
    g_test_add_func("/queue/cursor", test_cursor);
    g_test_add_func("/queue/put-in-front", test_put_in_front);
    return g_test_run();
}
