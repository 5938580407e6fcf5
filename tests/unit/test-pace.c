/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pace against a simulated TAP queue: a backlog goes in as fast as the
 * guest takes frames, nothing overflows, and live frames find room.
 */
#include "netdev/pace.h"

#include <glib.h>

typedef struct Tap {
    uint32_t length;
    uint32_t extra; /* of its length */
    uint64_t content;
    LinkCounters counters;
} Tap;

static bool tap_send(Tap *tap)
{
    if (tap->content >= tap->length) {
        tap->counters.tx_dropped++;
        return false;
    }
    tap->content++;
    return true;
}

static void tap_take(Tap *tap, uint64_t n)
{
    n = MIN(n, tap->content);
    tap->content -= n;
    tap->counters.tx_packets += n;
}

/* Injects @backlog frames while the guest takes @speed frames a round and
 * @live others come; returns how many rounds it took. */
static unsigned release(Tap *tap, uint64_t backlog, uint64_t speed,
                        uint64_t live)
{
    unsigned rounds = 0;
    Pace pace;

    pace_init(&pace);
    while (backlog > 0) {
        uint64_t room;

        for (uint64_t i = 0; i < live; i++) {
            g_assert_true(tap_send(tap));
        }
        meter_enter(&pace.meter, live);
        room = pace_room(&pace, &tap->counters,
                         (PaceQueue){tap->length, tap->extra}, backlog);
        g_assert_cmpuint(room, <=, tap->length);
        for (; room > 0 && backlog > 0; room--, backlog--) {
            g_assert_true(tap_send(tap));
            meter_enter(&pace.meter, 1);
        }
        tap_take(tap, speed);
        g_assert_cmpuint(++rounds, <, 10000000);
    }
    g_assert_cmpuint(tap->counters.tx_dropped, ==, 0);
    return rounds;
}

static void test_no_overflow(void)
{
    static const uint32_t lengths[] = {1, 2, 50, 1000, 20000};
    static const uint64_t speeds[] = {1, 7, 400, 100000};

    for (unsigned i = 0; i < G_N_ELEMENTS(lengths); i++) {
        for (unsigned j = 0; j < G_N_ELEMENTS(speeds); j++) {
            Tap tap = {.length = lengths[i], .counters.tx_packets = 77};
            uint64_t share = MIN(MAX(lengths[i] / 4, 1), speeds[j]);

            /* The guest never waits for us. */
            g_assert_cmpuint(release(&tap, 30000, speeds[j], 0), <=,
                             30000 / share + 1);
        }
    }
}

static void test_live_frames(void)
{
    Tap slow = {.length = 1000}, fast = {.length = 1000};
    Tap raised = {.length = 3000, .extra = 2000};

    release(&slow, 100000, 100, 60);
    release(&fast, 100000, 1000, 450);
    release(&raised, 100000, 2000, 990);
}

/* What waits goes in at once if it fits into half of the queue, and into all
 * that was made for it. */
static void test_whole(void)
{
    static const struct {
        PaceQueue queue;
        uint64_t content, waiting, room;
    } cases[] = {
        {{1000, 0}, 0, 500, 500},
        {{1000, 0}, 0, 501, 250},
        {{1000, 0}, 100, 400, 400},
        {{1000, 0}, 100, 401, 150},
        {{1000, 0}, 500, 1, 0},
        {{10, 0}, 0, 5, 5},
        {{10, 0}, 0, 6, 2},
        {{1, 0}, 0, 1, 1},
        {{1, 0}, 1, 1, 0},
        {{3000, 2000}, 0, 1999, 2000},
        {{3000, 2000}, 0, 90000, 2000},
        {{3000, 2000}, 1500, 1, 500},
        {{3000, 2000}, 2500, 1, 0},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_assert_cmpuint(
            pace_share(cases[i].content, cases[i].queue, cases[i].waiting), ==,
            cases[i].room);
    }
}

/* Frames that lay in the queue before we began show once they are taken. */
static void test_learns_base(void)
{
    Tap tap = {.length = 100, .content = 40};
    PaceQueue queue = {100, 0};
    Pace pace;

    pace_init(&pace);
    g_assert_cmpuint(pace_room(&pace, &tap.counters, queue, 900), ==, 25);
    tap_take(&tap, 40);
    for (unsigned i = 0; i < METER_EXCESS_SAMPLES; i++) {
        g_assert_cmpuint(pace_room(&pace, &tap.counters, queue, 900), ==, 25);
    }
    for (unsigned i = 0; i < 15; i++) {
        tap_send(&tap);
    }
    meter_enter(&pace.meter, 15);
    g_assert_cmpuint(pace_room(&pace, &tap.counters, queue, 900), ==, 10);
}

static uint64_t retry_after(Pace *pace, LinkCounters *counters, uint64_t taken)
{
    counters->tx_packets += taken;
    pace_room(pace, counters, (PaceQueue){1000, 0}, 900);
    return pace_retry_us(pace);
}

/* Seldom while the guest takes nothing, soon again when it does, and sooner
 * while it takes most of what is ours between two looks. */
static void test_retry(void)
{
    LinkCounters counters = {0};
    uint64_t first, last;
    Pace pace;

    pace_init(&pace);
    first = retry_after(&pace, &counters, 100);
    last = first;
    for (unsigned i = 0; i < 20; i++) {
        g_assert_cmpuint(retry_after(&pace, &counters, 0), >=, last);
        last = pace_retry_us(&pace);
    }
    g_assert_cmpuint(last, >, first);
    g_assert_cmpuint(last, <=, 10000);
    g_assert_cmpuint(retry_after(&pace, &counters, 100), ==, first);
    for (unsigned i = 0; i < 20; i++) {
        last = retry_after(&pace, &counters, 200);
        g_assert_cmpuint(last, >, 0);
    }
    g_assert_cmpuint(last, <, first / 4);
    g_assert_cmpuint(retry_after(&pace, &counters, 100), ==, last);
    for (unsigned i = 0; i < 20; i++) {
        retry_after(&pace, &counters, 1);
    }
    g_assert_cmpuint(pace_retry_us(&pace), ==, first);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pace/no-overflow", test_no_overflow);
    g_test_add_func("/pace/live-frames", test_live_frames);
    g_test_add_func("/pace/whole", test_whole);
    g_test_add_func("/pace/learns-base", test_learns_base);
    g_test_add_func("/pace/retry", test_retry);
    return g_test_run();
}
