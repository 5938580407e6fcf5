/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pace against a simulated TAP queue: a backlog goes in as fast as the
 * guest takes frames, nothing overflows, and live frames find room.
 */
#include "netdev/pace.h"

#include <glib.h>

typedef struct Tap {
    uint32_t length;
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
        room = pace_room(&pace, &tap->counters, tap->length);
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

    release(&slow, 100000, 100, 60);
    release(&fast, 100000, 1000, 700);
}

/* Frames that lay in the queue before we began show once they are taken. */
static void test_learns_base(void)
{
    Tap tap = {.length = 100, .content = 40};
    Pace pace;

    pace_init(&pace);
    g_assert_cmpuint(pace_room(&pace, &tap.counters, 100), ==, 25);
    tap_take(&tap, 40);
    for (unsigned i = 0; i < METER_EXCESS_SAMPLES; i++) {
        g_assert_cmpuint(pace_room(&pace, &tap.counters, 100), ==, 25);
    }
    for (unsigned i = 0; i < 15; i++) {
        tap_send(&tap);
    }
    meter_enter(&pace.meter, 15);
    g_assert_cmpuint(pace_room(&pace, &tap.counters, 100), ==, 10);
}

static void test_retry(void)
{
    LinkCounters counters = {0};
    uint64_t first;
    Pace pace;

    pace_init(&pace);
    counters.tx_packets = 1;
    pace_room(&pace, &counters, 10);
    first = pace_retry_us(&pace);
    for (unsigned i = 0; i < 20; i++) {
        uint64_t before = pace_retry_us(&pace);

        pace_room(&pace, &counters, 10);
        g_assert_cmpuint(pace_retry_us(&pace), >=, before);
    }
    g_assert_cmpuint(pace_retry_us(&pace), <=, 10000);
    counters.tx_packets++;
    pace_room(&pace, &counters, 10);
    g_assert_cmpuint(pace_retry_us(&pace), ==, first);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pace/no-overflow", test_no_overflow);
    g_test_add_func("/pace/live-frames", test_live_frames);
    g_test_add_func("/pace/learns-base", test_learns_base);
    g_test_add_func("/pace/retry", test_retry);
    return g_test_run();
}
