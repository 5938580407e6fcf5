/* SPDX-License-Identifier: BSD-2-Clause */
/* The loop: timers against a model, watches that go while they are visited. */
#include "base/loop.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <glib.h>

#define TIMERS 500

typedef struct Probe {
    LoopTimer timer;
    uint64_t wanted_us; /* when, on the test's own clock */
    unsigned fired;
} Probe;

static Probe probes[TIMERS];
static Probe *last_fired;
static unsigned fired;

static void probe_fired(void *opaque)
{
    Probe *probe = opaque;

    g_assert_false(probe->timer.armed);
    /* Never early, and in order of what they were set to. */
    g_assert_cmpint(g_get_monotonic_time(), >=, (gint64)probe->wanted_us);
    if (last_fired) {
        g_assert_cmpint(probe->timer.due, >=, last_fired->timer.due);
    }
    last_fired = probe;
    probe->fired++;
    fired++;
}

static void probe_set(Probe *probe)
{
    uint64_t us = (uint64_t)g_test_rand_int_range(0, 50000);

    probe->wanted_us = (uint64_t)g_get_monotonic_time() + us;
    loop_timer_set(&probe->timer, us);
}

/* Many are set, half of them moved, a third taken back. */
static void test_timers(void)
{
    unsigned expected = 0;

    for (unsigned i = 0; i < TIMERS; i++) {
        loop_timer_open(&probes[i].timer, probe_fired, &probes[i]);
        probe_set(&probes[i]);
    }
    for (unsigned i = 0; i < TIMERS; i += 2) {
        probe_set(&probes[i]);
    }
    for (unsigned i = 0; i < TIMERS; i += 3) {
        loop_timer_cancel(&probes[i].timer);
    }
    for (unsigned i = 0; i < TIMERS; i++) {
        expected += probes[i].timer.armed;
    }
    g_assert_cmpuint(expected, ==, TIMERS - (TIMERS + 2) / 3);
    while (fired < expected) {
        loop_iterate(true);
    }
    for (unsigned i = 0; i < TIMERS; i++) {
        g_assert_cmpuint(probes[i].fired, ==, i % 3 != 0);
        loop_timer_close(&probes[i].timer);
    }
}

typedef struct Chain {
    LoopTimer timer, other;
    unsigned count;
} Chain;

/* Sets itself anew, which counts from now: a round ends. */
static void chain_fired(void *opaque)
{
    Chain *chain = opaque;

    loop_timer_close(&chain->other);
    if (++chain->count < 3) {
        loop_timer_set(&chain->timer, 0);
    }
}

static void chain_never(void *opaque)
{
    g_assert_not_reached();
}

static void test_timer_in_timer(void)
{
    Chain chain = {.count = 0};

    loop_timer_open(&chain.timer, chain_fired, &chain);
    loop_timer_open(&chain.other, chain_never, NULL);
    loop_timer_set(&chain.other, 1000);
    loop_timer_set(&chain.timer, 1);
    while (chain.count < 3) {
        loop_iterate(true);
    }
    g_usleep(2000);
    loop_iterate(false);
    loop_timer_close(&chain.timer);
}

/* An early one fires though a late one was set first, and late again. */
static void test_timer_earlier(void)
{
    Chain chain = {.count = 2};
    gint64 begun = g_get_monotonic_time();

    loop_timer_open(&chain.other, chain_never, NULL);
    loop_timer_open(&chain.timer, chain_fired, &chain);
    loop_timer_set(&chain.other, 60000000);
    loop_timer_set(&chain.timer, 60000000);
    loop_timer_set(&chain.timer, 1000);
    while (chain.count < 3) {
        loop_iterate(true);
    }
    g_assert_cmpint(g_get_monotonic_time() - begun, <, 50000000);
    loop_timer_close(&chain.timer);
}

typedef struct Pair {
    LoopWatch watches[2];
    int fds[2][2];
    unsigned calls;
} Pair;

/* Both are ready: whoever comes first takes the other one out. */
static void pair_ready(void *opaque, uint32_t events)
{
    Pair *pair = opaque;

    g_assert_cmpuint(events, ==, EPOLLIN);
    pair->calls++;
    loop_watch_remove(&pair->watches[0]);
    loop_watch_remove(&pair->watches[1]);
}

static void test_watch_removed(void)
{
    Pair pair = {.calls = 0};

    for (int i = 0; i < 2; i++) {
        g_assert_cmpint(pipe(pair.fds[i]), ==, 0);
        g_assert_cmpint(write(pair.fds[i][1], "x", 1), ==, 1);
        loop_watch_add(&pair.watches[i], pair.fds[i][0], EPOLLIN, pair_ready,
                       &pair);
    }
    for (int i = 0; i < 3; i++) {
        loop_iterate(false);
    }
    g_assert_cmpuint(pair.calls, ==, 1);
    for (int i = 0; i < 4; i++) {
        close(pair.fds[i / 2][i % 2]);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/loop/timers", test_timers);
    g_test_add_func("/loop/timer-in-timer", test_timer_in_timer);
    g_test_add_func("/loop/timer-earlier", test_timer_earlier);
    g_test_add_func("/loop/watch-removed", test_watch_removed);
    return g_test_run();
}
