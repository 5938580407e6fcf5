/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A stop around which the VMM swallows some frames: which is the first that the
 * guest did not get, and which found no room while it stood.
 */
#include "ledger-world.h"

static void test_exact(void)
{
    for (guint32 seed = 0; seed < 2000; seed++) {
        g_autoptr(World) world =
            world_new(seed, 1000, seed % 3 ? 0 : seed % 50);
        LedgerMethod method;
        LedgerSample sample;
        unsigned swallowed;

        world_sample(world, true, true);
        world_run(world, 100, false, true);
        world_quiet(world, true);
        world_run(world, 1 + world_chance(world, 400), false, true);
        world_deliver(world);
        /* The stop: sends go on, a few more are taken and never delivered. */
        swallowed = world_chance(world, 5);
        for (unsigned i = 0; i < swallowed; i++) {
            world_send(world);
            world_take(world);
        }
        sample = world_sample(world, true, false);
        g_assert_cmpuint(
            ledger_stop(&world->ledger, &sample, UINT32_MAX, false, &method),
            ==, world_truth(world));
        g_assert_cmpint(method, ==, LEDGER_USED_INDEX);
    }
}

/* With drops what is shipped starts at the first undelivered frame, or a
 * little before it where a sample could not tell; never behind it. */
static void test_full_queue(void)
{
    uint64_t repeats = 0;

    for (guint32 seed = 0; seed < 2000; seed++) {
        g_autoptr(World) world = world_new(seed, 20 + seed % 40, 0);
        LedgerMethod method;
        LedgerSample sample;
        uint64_t first, truth;

        world_sample(world, true, true);
        world_quiet(world, true);
        world_run(world, 1 + world_chance(world, 1500), true, true);
        world_deliver(world);
        for (unsigned i = world_chance(world, 4); i > 0; i--) {
            world_take(world);
        }
        sample = world_sample(world, true, false);
        first =
            ledger_stop(&world->ledger, &sample, UINT32_MAX, false, &method);
        truth = world_truth(world);
        g_assert_cmpuint(first, <=, truth);
        for (uint64_t i = first; i < truth; i++) {
            repeats += world->fate[i] == FATE_DELIVERED;
        }
    }
    /* A sample every few frames: seldom more than one is uncertain. */
    g_test_message("%" G_GUINT64_FORMAT " repeats in 2000 stops", repeats);
    g_assert_cmpuint(repeats, <, 2000 * 12);
}

static void test_counters_only(void)
{
    for (guint32 seed = 0; seed < 500; seed++) {
        g_autoptr(World) world = world_new(seed, 1000, 0);
        LedgerMethod method;
        LedgerSample sample;
        uint64_t first;

        world_sample(world, false, true);
        world_quiet(world, false);
        world_run(world, 300, false, false);
        world_deliver(world);
        for (unsigned i = world_chance(world, 5); i > 0; i--) {
            world_send(world);
            world_take(world);
        }
        sample = world_sample(world, false, true);
        first =
            ledger_stop(&world->ledger, &sample, UINT32_MAX, false, &method);
        g_assert_cmpint(method, ==, LEDGER_COUNTERS);
        g_assert_cmpuint(first, <=, world_truth(world));
        g_assert_cmpuint(world_truth(world) - first, <=, 8);
    }
}

static void test_fixed_overlap(void)
{
    g_autoptr(World) world = world_new(1, 1000, 0);
    LedgerMethod method;
    LedgerSample sample;

    world_sample(world, true, true);
    for (unsigned i = 0; i < 100; i++) {
        world_send(world);
    }
    world_quiet(world, true);
    g_assert_false(ledger_wants_sample(&world->ledger, true));
    sample = world_sample(world, true, true);
    g_assert_cmpuint(ledger_stop(&world->ledger, &sample, 0, true, &method), ==,
                     100);
    g_assert_cmpuint(ledger_stop(&world->ledger, &sample, 64, true, &method),
                     ==, 36);
}

/* The queue is full when we begin to look, and never empty until the stop: what
 * lay in it before is not known, but how much it can have been. */
static void test_never_empty(void)
{
    uint64_t repeats = 0;

    for (guint32 seed = 0; seed < 1000; seed++) {
        unsigned capacity = 20 + seed % 40;
        g_autoptr(World) world =
            world_new(seed, capacity, capacity - seed % 10);
        LedgerMethod method;
        LedgerSample sample;
        uint64_t first, truth;

        world_sample(world, true, true);
        for (unsigned i = 200 + world_chance(world, 400); i > 0; i--) {
            world_send(world);
            if (world_queue_len(world) > capacity / 2 &&
                world_chance(world, 4) == 0) {
                world_take(world);
                world_deliver(world);
            }
            if (world_chance(world, 3) == 0) {
                world_sample(world, true, true);
            }
        }
        g_assert_cmpuint(ledger_doubt(&world->ledger), >, 0);
        sample = world_sample(world, true, true);
        first =
            ledger_stop(&world->ledger, &sample, UINT32_MAX, false, &method);
        truth = world_truth(world);
        g_assert_cmpint(method, ==, LEDGER_COUNTERS);
        g_assert_cmpuint(first, <=, truth);
        for (uint64_t i = first; i < truth; i++) {
            repeats += world->fate[i] == FATE_DELIVERED;
        }
    }
    /* The overlap, and a few where a sample could not tell. */
    g_test_message("%" G_GUINT64_FORMAT " repeats in 1000 stops", repeats);
    g_assert_cmpuint(repeats, <, 1000 * 20);
}

/* What a stopped VM's full queue refused is known frame by frame. */
static void test_dropped_while_stopped(void)
{
    g_autoptr(World) world = world_new(3, 100, 0);
    LedgerMethod method;
    LedgerSample sample;

    world_sample(world, true, true);
    world_run(world, 300, false, true);
    world_quiet(world, true);
    sample = world_sample(world, true, true);
    ledger_stop(&world->ledger, &sample, UINT32_MAX, false, &method);
    for (unsigned i = 0; i < 3000; i++) {
        LinkCounters counters = world->counters;

        world_send(world);
        if (world_chance(world, 20) == 0) {
            LinkCounters now = world->counters;

            /* Counted before the frame came, drained behind it. */
            world->counters = counters;
            world_sample(world, true, true);
            world->counters = now;
        }
    }
    world_sample(world, true, true);
    for (uint64_t i = 0; i < world->entered; i++) {
        g_assert_cmpint(ledger_was_dropped(&world->ledger, i), ==,
                        i >= world->ledger.taken &&
                            world->fate[i] == FATE_DROPPED);
    }
}

/* Some frames that come at about the time of a stop: samples in between may
 * find some that have not been counted. */
static void world_send_around_stop(World *world, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        LinkCounters counters = world->counters;

        world_send(world);
        if (world_chance(world, 6) == 0) {
            LinkCounters now = world->counters;

            world->counters = world_chance(world, 2) ? counters : now;
            world_sample(world, true, true);
            world->counters = now;
        }
    }
}

/* A full queue, a stop that makes room in it, and what came then fills that:
 * if nobody looked meanwhile, the VM's clock tells to within some frames which
 * of them were dropped. Nothing is lost by that, and few come twice. */
static void test_room_made_by_stop(void)
{
    for (guint32 seed = 0; seed < 3000; seed++) {
        g_autoptr(World) world = world_new(seed, 40, 0);
        unsigned margin = seed % 5, room;
        unsigned repeats = 0;
        uint64_t stopped, told;
        LedgerMethod method;
        LedgerSample sample;

        room = world_chance(world, 24);
        world_sample(world, true, true);
        world_run(world, 100, false, true);
        world_quiet(world, true);
        while (world_queue_len(world) < world->capacity) {
            world_send(world);
        }
        world_sample(world, true, true);
        world_send_around_stop(world, world_chance(world, 20));
        for (unsigned i = 0; i < room; i++) {
            world->fate[world->queue[world->queue_head++]] = FATE_DELIVERED;
        }
        stopped = world->entered;
        world_send_around_stop(world, world_chance(world, 40));
        told = stopped + world_chance(world, 2 * margin + 1) - margin;
        sample = world_sample(world, true, true);
        /* A frame that a sample found uncounted is counted with others. */
        ledger_made_room(&world->ledger, told - margin - 1, told + margin + 1);
        ledger_stop(&world->ledger, &sample, UINT32_MAX, false, &method);
        world_send_around_stop(world, world_chance(world, 100));
        world_sample(world, true, true);
        for (uint64_t i = stopped - margin; i < world->entered; i++) {
            bool dropped = ledger_was_dropped(&world->ledger, i);

            g_assert_true(dropped || world->fate[i] != FATE_DROPPED);
            repeats += dropped && world->fate[i] != FATE_DROPPED;
        }
        g_assert_cmpuint(repeats, <=, 2 * margin + 16);
    }
}

/* @queued frames lie in the queue at a stop, before which the VMM has taken
 * @behind frames since the queue was full and dropped some. Is the place of the
 * first of them known? */
static bool world_stop_place(World *world, unsigned behind, unsigned queued,
                             LedgerPlace *place)
{
    LedgerMethod method;
    LedgerSample sample;
    uint64_t first;

    world_sample(world, true, true);
    world_run(world, 300, false, true);
    world_quiet(world, true);
    for (unsigned i = 0; i < world->capacity + 10; i++) {
        world_send(world);
    }
    world_sample(world, true, true);
    for (unsigned i = 0; i < behind; i++) {
        world_take(world);
        world_deliver(world);
    }
    world_sample(world, true, true);
    while (world_queue_len(world) < queued) {
        world_send(world);
    }
    sample = world_sample(world, true, true);
    first = ledger_stop(&world->ledger, &sample, UINT32_MAX, false, &method);
    g_assert_cmpint(method, ==, LEDGER_USED_INDEX);
    return ledger_place(&world->ledger, first, place);
}

static void test_place(void)
{
    for (unsigned queued = 90; queued <= 200; queued += 110) {
        g_autoptr(World) world = world_new(queued, 200, 0);
        LedgerPlace place;

        g_assert_true(world_stop_place(world, 200, queued, &place));
        g_assert_cmpuint(place.taken, ==, world->counters.tx_packets);
        g_assert_cmpuint(place.place, ==,
                         world->counters.tx_packets +
                             world->counters.tx_dropped);
        g_assert_cmpint(place.full, ==, queued == 200);
    }
}

/* Which frame of a full queue is the first is not certain where some were
 * dropped among those that came with it. */
static void test_place_unknown(void)
{
    g_autoptr(World) world = world_new(1, 200, 0);
    LedgerPlace place;

    g_assert_false(world_stop_place(world, 180, 200, &place));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ledger/exact", test_exact);
    g_test_add_func("/ledger/full-queue", test_full_queue);
    g_test_add_func("/ledger/counters-only", test_counters_only);
    g_test_add_func("/ledger/fixed-overlap", test_fixed_overlap);
    g_test_add_func("/ledger/place", test_place);
    g_test_add_func("/ledger/place-unknown", test_place_unknown);
    g_test_add_func("/ledger/never-empty", test_never_empty);
    g_test_add_func("/ledger/dropped-while-stopped",
                    test_dropped_while_stopped);
    g_test_add_func("/ledger/room-made-by-stop", test_room_made_by_stop);
    return g_test_run();
}
