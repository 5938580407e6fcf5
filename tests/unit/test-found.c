/* SPDX-License-Identifier: BSD-2-Clause */
#include "switchover/found.h"

#include <glib.h>

/* A frame for each letter; "-" is one that was missed. */
static void queue_fill(PacketQueue *queue, const char *letters)
{
    packet_queue_init(queue);
    for (; *letters; letters++) {
        uint8_t frame[64] = {(uint8_t)*letters};
        Packet packet = {.data = frame, .len = 60 + (uint32_t)*letters % 4};

        if (*letters == '-') {
            packet_queue_append_missing(queue);
        } else {
            packet_queue_append(queue, &packet);
        }
    }
}

static void check(const char *drained, const char *captured, unsigned most,
                  unsigned expected)
{
    PacketQueue queue, all;

    queue_fill(&queue, drained);
    queue_fill(&all, captured);
    g_assert_cmpuint(found_count_captured(&queue, &all, most), ==, expected);
    packet_queue_free(&queue);
    packet_queue_free(&all);
}

static void test_tail(void)
{
    check("abcd", "cd", 2, 2);
    check("abcd", "", 0, 0);
    check("abcd", "abcd", 4, 4);
    check("", "abcd", 4, 0);
    /* The VMM has taken some of what was captured. */
    check("cd", "abcd", 4, 2);
}

/* What found no room is not in the queue. */
static void test_dropped(void)
{
    check("abcd", "cdefg", 2, 2);
    check("abcg", "cdefg", 2, 2);
    /* It may look like one that came before: no more are there than can be. */
    check("abab", "babab", 2, 2);
    check("aaaa", "aaaaaa", 1, 1);
}

/* Frames of other queues lie between. */
static void test_queues(void)
{
    check("abcd", "1c2d3", 5, 2);
    check("12", "1c2d3", 5, 2);
    check("xyz", "1c2d3", 5, 0);
}

static void test_missed(void)
{
    check("abcd", "b-d", 3, 3);
    check("abcd", "--", 2, 2);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/found/tail", test_tail);
    g_test_add_func("/found/dropped", test_dropped);
    g_test_add_func("/found/queues", test_queues);
    g_test_add_func("/found/missed", test_missed);
    return g_test_run();
}
