/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM that runs again here, or that stood before we began: what the stop has
 * destroyed is found out, and all is exact again.
 */
#include "ledger-world.h"

/* A stop of vhost destroys some of the oldest frames of a full queue, and
 * nothing counts them. After the resume the queue never seems empty again: that
 * tells how many, and then all is exact again. */
static void test_destroyed(void)
{
    for (guint32 seed = 0; seed < 300; seed++) {
        g_autoptr(World) world = world_new(seed, 100, 0);
        unsigned n = seed % (LEDGER_DESTROYED_MAX + 1);
        LedgerMethod method;
        LedgerSample sample;
        uint32_t destroyed;
        uint64_t first;

        world_sample(world, true, true);
        world_run(world, 100, false, true);
        world_quiet(world, true);
        while (world_queue_len(world) < world->capacity) {
            world_send(world);
        }
        sample = world_sample(world, true, true);
        first =
            ledger_stop(&world->ledger, &sample, UINT32_MAX, false, &method);
        g_assert_cmpuint(first, ==, world_truth(world));
        for (unsigned i = 0; i < n; i++) {
            world->fate[world->queue[world->queue_head++]] = FATE_DELIVERED;
        }
        world_sample(world, true, true);
        ledger_resume(&world->ledger, world->entered, world->entered);
        while (!ledger_find_destroyed(&world->ledger, &destroyed)) {
            world_send(world);
            world_take(world);
            world_take(world);
            world_deliver(world);
            world_sample(world, true, true);
        }
        g_assert_cmpuint(destroyed, ==, n);
        ledger_destroyed(&world->ledger, destroyed);
        ledger_restart(&world->ledger, 0);
        world_quiet(world, true);
        g_assert_cmpuint(ledger_pending(&world->ledger), ==, 0);
        world_run(world, 50, false, true);
        world_deliver(world);
        sample = world_sample(world, true, true);
        g_assert_cmpuint(
            ledger_stop(&world->ledger, &sample, UINT32_MAX, false, &method),
            ==, world_truth(world));
    }
}

/* Of a full queue the stop destroys some, and the guest takes up to @taken
 * frames for each that comes. Now and then a sample does not find a frame that
 * was taken already. Returns how many samples it takes to tell. */
static unsigned world_settle(World *world, unsigned destroyed, unsigned taken)
{
    LedgerMethod method;
    LedgerSample sample;
    uint32_t told;
    unsigned n = 0;

    world_sample(world, true, true);
    world_quiet(world, true);
    while (world_queue_len(world) < world->capacity) {
        world_send(world);
    }
    sample = world_sample(world, true, true);
    ledger_stop(&world->ledger, &sample, UINT32_MAX, false, &method);
    world->queue_head += destroyed;
    world_sample(world, true, true);
    ledger_resume(&world->ledger, world->entered, world->entered);
    while (!ledger_find_destroyed(&world->ledger, &told)) {
        world_send(world);
        for (unsigned i = world_chance(world, taken + 1); i > 0; i--) {
            world_take(world);
        }
        world_deliver(world);
        if (world_queue_len(world) == 0 && n % 20 == 0) {
            sample.counters = world->counters;
            ledger_sample(&world->ledger, &sample);
        } else {
            world_sample(world, true, true);
        }
        g_assert_cmpuint(n++, <, 5000);
    }
    g_assert_cmpuint(told, ==, destroyed);
    return n;
}

static void test_destroyed_and_late_slot(void)
{
    for (guint32 seed = 0; seed < 300; seed++) {
        g_autoptr(World) world = world_new(seed, 100, 0);

        world_settle(world, seed % (LEDGER_DESTROYED_MAX + 1), 6);
    }
}

/* The guest has taken all, and nothing more comes: it is found that the stop
 * has destroyed @n, and nothing is pending for ever. */
static void check_settled(World *world, unsigned n)
{
    uint32_t destroyed;

    while (!ledger_find_destroyed(&world->ledger, &destroyed)) {
        world_sample(world, true, true);
    }
    g_assert_cmpuint(destroyed, ==, n);
    ledger_destroyed(&world->ledger, destroyed);
    ledger_restart(&world->ledger, 0);
    world_quiet(world, true);
    g_assert_cmpuint(ledger_pending(&world->ledger), ==, 0);
}

/* The VM stopped with a full queue, and runs again when the word of that comes:
 * the guest has taken all. What is looked through for losses begins no later
 * than the stop, and what that destroyed is not pending for ever. */
static void test_unheard(void)
{
    for (guint32 seed = 0; seed < 300; seed++) {
        g_autoptr(World) world = world_new(seed, 100, 0);
        unsigned n = seed % (LEDGER_DESTROYED_MAX + 1);
        uint64_t stopped;
        LedgerMethod method;
        LedgerSample sample;

        world_sample(world, true, true);
        world_quiet(world, true);
        while (world_queue_len(world) < world->capacity) {
            world_send(world);
        }
        stopped = world->entered;
        world->queue_head += n;
        for (unsigned i = world_chance(world, 500); i > 0; i--) {
            world_send(world);
        }
        for (unsigned i = 50 + world_chance(world, 500); i > 0; i--) {
            world_send(world);
            world_take(world);
            world_take(world);
            world_deliver(world);
        }
        while (world_queue_len(world) > 0) {
            world_take(world);
        }
        world_deliver(world);
        sample = world_sample(world, true, true);
        ledger_made_room(&world->ledger, stopped - 2, stopped + 2);
        g_assert_cmpuint(
            ledger_stop(&world->ledger, &sample, UINT32_MAX, false, &method),
            <=, stopped);
        ledger_resume(&world->ledger, world->entered, world->entered);
        check_settled(world, n);
    }
}

/* Likewise, and some samples have found the guest beyond the stop when the word
 * comes: the one before the stop tells what the queue can have held. */
static void test_ran_unheard(void)
{
    for (guint32 seed = 0; seed < 300; seed++) {
        g_autoptr(World) world = world_new(seed, 100, 0);
        unsigned n = seed % (LEDGER_DESTROYED_MAX + 1);
        uint64_t stopped, oldest;
        int64_t stop_us;
        LedgerMethod method;
        LedgerSample sample;

        world_sample(world, true, true);
        world_run(world, 100, false, true);
        world_quiet(world, true);
        while (world_queue_len(world) < world->capacity) {
            world_send(world);
        }
        for (unsigned i = world_chance(world, 500); i > 0; i--) {
            world_send(world);
        }
        stopped = world->entered;
        oldest = world->queue[world->queue_head];
        stop_us = world->time_us + 500;
        world->queue_head += n;
        for (unsigned i = world_chance(world, 500); i > 0; i--) {
            world_send(world);
        }
        for (unsigned i = world_chance(world, LEDGER_PAST - 2); i > 0; i--) {
            world_take(world);
            world_deliver(world);
            world_sample(world, true, true);
        }
        while (world_queue_len(world) > 0) {
            world_take(world);
        }
        world_deliver(world);
        sample = world_sample(world, true, true);
        ledger_made_room(&world->ledger, stopped - 2, stopped + 2);
        ledger_stop(&world->ledger, &sample, UINT32_MAX, false, &method);
        ledger_resume(&world->ledger, world->entered, world->entered);
        g_assert_cmpuint(ledger_ran_unheard(&world->ledger, stop_us, stopped),
                         <=, oldest);
        g_assert_cmpuint(ledger_history(&world->ledger), <=, oldest);
        check_settled(world, n);
    }
}

/* The word comes when no sample from before the stop is kept: the oldest one
 * that is tells. */
static void test_ran_unheard_late(void)
{
    const unsigned samples = 3 * LEDGER_PAST + 3, frames = 100;
    const unsigned oldest = (samples - LEDGER_PAST) * frames;
    LedgerSample sample = {0};
    Ledger ledger;

    ledger_init(&ledger, 0, 10 * frames);
    for (unsigned i = 0; i < samples; i++) {
        ledger_sample(&ledger, &sample);
        ledger_captured(&ledger, 0, frames);
        sample.time_us += 1000;
        sample.counters.tx_packets += frames;
    }
    g_assert_cmpuint(ledger_history(&ledger), <=, oldest);
    g_assert_cmpuint(ledger_ran_unheard(&ledger, 0, samples * frames), <=,
                     oldest);
    g_assert_cmpuint(ledger.taken, >, oldest - frames);
}

/* We begin beside a VM that stands, and know what its queue holds: from then on
 * all is told as if it had been captured. With @between a frame or two came
 * while the queue was filled, in between. */
static void test_found(gconstpointer data)
{
    bool between = GPOINTER_TO_INT(data);

    for (guint32 seed = 0; seed < 2000; seed++) {
        g_autoptr(World) world = world_new(seed, 10 + seed % 40, 0);
        uint64_t first = seed % 7, taken, full;
        LedgerFound found;
        uint32_t destroyed;

        ledger_init(&world->ledger, first, world->capacity + 63);
        world->entered = world->queue_head = world->queue_tail = first;
        for (unsigned n = world_chance(world, 10); n > 0; n--) {
            world_send(world);
        }
        for (unsigned n = world_chance(world, 3); n > 0; n--) {
            world_take(world);
        }
        for (unsigned n = world_chance(world, 60); n > 0; n--) {
            world_send(world);
        }
        taken = world->n_taken;
        full = first + taken + world_queue_len(world);
        if (between) {
            full -= MIN(full - first, taken + world_chance(world, 5));
            full = MAX(full, first + taken);
        }
        ledger_captured(&world->ledger, 0, world->unseen);
        world->unseen = 0;
        found = (LedgerFound){.counters = world->counters,
                              .taken = taken,
                              .swallowed = taken,
                              .content = world_queue_len(world),
                              .full = full,
                              .idle = taken == 0};
        g_assert_cmpuint(ledger_found(&world->ledger, &found), ==, first);
        g_assert_cmpuint(ledger_doubt(&world->ledger), ==, 0);
        for (unsigned n = world_chance(world, 60); n > 0; n--) {
            world_send(world);
            if (world_chance(world, 3) == 0) {
                world_sample(world, false, true);
            }
        }
        world_sample(world, false, true);
        g_assert_cmpuint(ledger_pending(&world->ledger), ==,
                         world_queue_len(world));
        g_assert_cmpuint(world->ledger.content, ==, world_queue_len(world));
        ledger_resume(&world->ledger, world->entered, world->entered);
        g_assert_cmpuint(ledger_lost_most(&world->ledger), ==, taken);
        g_assert_true(ledger_find_destroyed(&world->ledger, &destroyed));
        g_assert_cmpuint(destroyed, ==, 0);
        for (uint64_t i = first; i < world->entered; i++) {
            bool dropped = world->fate[i] == FATE_DROPPED;

            if (!between || dropped || i < full) {
                g_assert_cmpint(ledger_was_dropped(&world->ledger, i), ==,
                                dropped);
            }
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ledger/destroyed", test_destroyed);
    g_test_add_func("/ledger/destroyed-and-late-slot",
                    test_destroyed_and_late_slot);
    g_test_add_func("/ledger/unheard", test_unheard);
    g_test_add_func("/ledger/ran-unheard", test_ran_unheard);
    g_test_add_func("/ledger/ran-unheard-late", test_ran_unheard_late);
    g_test_add_data_func("/ledger/found", GINT_TO_POINTER(false), test_found);
    g_test_add_data_func("/ledger/found-between", GINT_TO_POINTER(true),
                         test_found);
    return g_test_run();
}
