/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ledger against a simulated TAP with several queues, each first in, first
 * out and of bounded length, whose counters are for all of them together.
 */
#include "switchover/ledger.h"

#include <glib.h>

#define FRAMES_MAX 4000
#define LENGTH 100

typedef enum Fate {
    FATE_QUEUED,
    FATE_TAKEN,
    FATE_DELIVERED,
    FATE_DROPPED
} Fate;

typedef struct Frame {
    unsigned queue;
    uint64_t serial;
    Fate fate;
} Frame;

typedef struct World {
    GRand *rand;
    Ledger ledger;
    unsigned n_queues;
    Frame frames[FRAMES_MAX];
    uint64_t entered;
    uint64_t serials[LEDGER_QUEUES_MAX];
    unsigned unseen[LEDGER_QUEUES_MAX]; /* not yet told to the ledger */
    unsigned content[LEDGER_QUEUES_MAX];
    uint16_t used[LEDGER_QUEUES_MAX];
    LinkCounters counters;
    int64_t time_us;
    unsigned late; /* frames that the next sample finds, and no counter has */
    bool swapped;  /* the first two indices are taken for each other */
} World;

static unsigned chance(World *world, unsigned below)
{
    return (unsigned)g_rand_int_range(world->rand, 0, (gint32)below);
}

static World *world_new(guint32 seed)
{
    World *world = g_new0(World, 1);

    world->rand = g_rand_new_with_seed(seed);
    world->n_queues = 2 + chance(world, LEDGER_QUEUES_MAX - 1);
    world->counters.tx_packets = chance(world, 100000);
    world->counters.tx_dropped = chance(world, 1000);
    for (unsigned i = 0; i < world->n_queues; i++) {
        world->used[i] = (uint16_t)chance(world, 65536);
    }
    ledger_init(&world->ledger, 0, LENGTH + LEDGER_DESTROYED_MAX);
    ledger_set_multi(&world->ledger);
    return world;
}

static void world_free(World *world)
{
    g_rand_free(world->rand);
    g_free(world);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(World, world_free)

static void world_send(World *world, unsigned queue)
{
    Frame *frame = &world->frames[world->entered++];

    *frame = (Frame){queue, world->serials[queue]++, FATE_QUEUED};
    world->unseen[queue]++;
    if (world->content[queue] == LENGTH) {
        frame->fate = FATE_DROPPED;
        world->counters.tx_dropped++;
    } else {
        world->content[queue]++;
    }
}

/* The VMM takes up to @n frames out of @queue. */
static void world_take(World *world, unsigned queue, unsigned n)
{
    for (uint64_t i = 0; i < world->entered && n > 0; i++) {
        if (world->frames[i].queue == queue &&
            world->frames[i].fate == FATE_QUEUED) {
            world->frames[i].fate = FATE_TAKEN;
            world->content[queue]--;
            world->counters.tx_packets++;
            n--;
        }
    }
}

/* The guest gets what the VMM took, or never will. */
static void world_deliver(World *world, bool lost)
{
    for (uint64_t i = 0; i < world->entered; i++) {
        if (world->frames[i].fate == FATE_TAKEN) {
            world->frames[i].fate = FATE_DELIVERED;
            world->used[world->frames[i].queue] += !lost;
        }
    }
}

static void world_tell(World *world)
{
    for (unsigned i = 0; i < world->n_queues; i++) {
        ledger_captured(&world->ledger, i, world->unseen[i]);
        world->unseen[i] = 0;
    }
}

static LedgerSample world_sample(World *world, bool used_known)
{
    LedgerSample sample = {
        .time_us = world->time_us += 1000,
        .used_known = used_known,
        .used_stable = true,
        .n_used = used_known ? world->n_queues : 0,
        .counters = world->counters,
    };

    for (unsigned i = 0; i < world->n_queues; i++) {
        unsigned from = world->swapped && i < 2 ? 1 - i : i;

        sample.queue_used[i] = world->used[from];
        sample.used = (uint16_t)(sample.used + world->used[i]);
    }
    world_tell(world);
    ledger_counted(&world->ledger);
    for (; world->late > 0; world->late--) {
        world_send(world, chance(world, world->n_queues));
    }
    world_tell(world);
    ledger_sample(&world->ledger, &sample);
    return sample;
}

static void world_quiet(World *world, bool used_known)
{
    do {
        for (unsigned i = 0; i < world->n_queues; i++) {
            world_take(world, i, UINT_MAX);
        }
        world_deliver(world, false);
        world_sample(world, used_known);
    } while (ledger_wants_sample(&world->ledger, used_known));
    world_sample(world, used_known);
}

/* @steps frames, each into some queue; with @slow nobody reads the first. */
static void world_run(World *world, unsigned steps, bool slow, bool used_known)
{
    for (unsigned i = 0; i < steps; i++) {
        world_send(world, chance(world, world->n_queues));
        for (unsigned n = slow; n < world->n_queues; n++) {
            world_take(world, n, chance(world, 3));
        }
        if (chance(world, 2) == 0) {
            world_deliver(world, false);
        }
        if (chance(world, 3) == 0) {
            world_sample(world, used_known);
        }
    }
}

static LedgerMethod world_stop(World *world, bool used_known)
{
    LedgerMethod method;
    LedgerSample sample = world_sample(world, used_known);

    ledger_stop(&world->ledger, &sample, UINT32_MAX, false, &method);
    g_assert_true(world->ledger.queues_known);
    return method;
}

/* How many frames of @queue there are from the first on that waits for the
 * guest. */
static unsigned world_truth(const World *world, unsigned queue)
{
    unsigned n = 0;

    for (uint64_t i = 0; i < world->entered; i++) {
        Fate fate = world->frames[i].fate;

        if (world->frames[i].queue == queue) {
            n += n > 0 || fate == FATE_QUEUED || fate == FATE_TAKEN;
        }
    }
    return n;
}

static void test_stop(void)
{
    for (guint32 seed = 0; seed < 300; seed++) {
        g_autoptr(World) world = world_new(seed);

        world_sample(world, true);
        world_quiet(world, true);
        world_run(world, 50 + chance(world, 100), chance(world, 2), true);
        world_quiet(world, true);
        world_run(world, chance(world, 80), chance(world, 2), true);
        g_assert_cmpint(world_stop(world, true), ==, LEDGER_USED_INDEX);
        for (unsigned i = 0; i < world->n_queues; i++) {
            g_assert_cmpuint(world->ledger.queues[i].lacks, ==,
                             world_truth(world, i));
        }
    }
}

/* What was dropped by which of them is known when all are empty; before that,
 * too much is shipped rather than too little. */
static void test_dropped(void)
{
    uint64_t more = 0;

    for (guint32 seed = 0; seed < 300; seed++) {
        g_autoptr(World) world = world_new(seed);
        bool rest = chance(world, 2);
        uint64_t dropped;

        world_sample(world, true);
        world_quiet(world, true);
        dropped = world->counters.tx_dropped;
        world_run(world, 200 * world->n_queues, true, true);
        g_assert_cmpuint(world->counters.tx_dropped, >, dropped);
        if (rest) {
            world_quiet(world, true);
            world_run(world, chance(world, 80), true, true);
            dropped = world->counters.tx_dropped;
        } else if (chance(world, 2)) {
            world_take(world, 0, 50);
            for (unsigned i = 0; i < 40; i++) {
                world_send(world, 0);
            }
            world_take(world, 0, 70); /* some that came behind dropped ones */
            world_deliver(world, false);
        }
        g_assert_cmpint(world_stop(world, true), ==, LEDGER_USED_INDEX);
        for (unsigned i = 0; i < world->n_queues; i++) {
            unsigned truth = world_truth(world, i);
            uint32_t lacks = world->ledger.queues[i].lacks;

            g_assert_cmpuint(lacks, >=, truth);
            g_assert_cmpuint(lacks, <=,
                             truth + world->counters.tx_dropped - dropped);
            more += lacks - truth;
            if (rest) {
                g_assert_cmpuint(lacks, ==, truth);
            }
        }
    }
    g_assert_cmpuint(more, >, 0);
}

/* Without the used indices: what waits in any may wait in each. */
static void test_counters(void)
{
    for (guint32 seed = 0; seed < 300; seed++) {
        g_autoptr(World) world = world_new(seed);
        unsigned waits = 0;

        world_sample(world, false);
        world_quiet(world, false);
        world_run(world, chance(world, 80), true, false);
        world_deliver(world, false);
        for (unsigned i = 0; i < world->n_queues; i++) {
            waits += world->content[i];
        }
        g_assert_cmpint(world_stop(world, false), ==, LEDGER_COUNTERS);
        for (unsigned i = 0; i < world->n_queues; i++) {
            g_assert_cmpuint(world->ledger.queues[i].lacks, >=,
                             world_truth(world, i));
            g_assert_cmpuint(world->ledger.queues[i].lacks, <=, waits + 8);
        }
    }
}

/* The guest's queues are not those that they are taken for: that shows. */
static void test_swapped(void)
{
    for (guint32 seed = 0; seed < 100; seed++) {
        g_autoptr(World) world = world_new(seed);

        world->swapped = true;
        world_sample(world, true);
        for (unsigned i = 0; i < 5; i++) {
            world_run(world, 100, false, true);
        }
        for (unsigned i = 0; i < 3; i++) {
            world_send(world, 0); /* the guest has them, and they are shipped */
        }
        world_take(world, 0, 3);
        world_deliver(world, false);
        g_assert_cmpint(world_stop(world, true), ==, LEDGER_COUNTERS);
    }
}

/* It has run for a while, all is known, and it stops. */
static void world_stand(World *world)
{
    world_sample(world, true);
    world_quiet(world, true);
    world_run(world, 50, false, true);
    world_stop(world, true);
}

static bool is_told_dropped(const World *world, uint64_t number)
{
    const Frame *frame = &world->frames[number];

    return ledger_queue_dropped(&world->ledger, frame->queue, frame->serial,
                                number);
}

/* Frames that come while the VM stands: those that found no room are known, and
 * where each is sampled no others are taken for such. */
static void test_full(void)
{
    for (guint32 seed = 0; seed < 200; seed++) {
        g_autoptr(World) world = world_new(seed);
        bool exact = chance(world, 2);

        world_stand(world);
        for (unsigned i = 0; i < 150 * world->n_queues; i++) {
            world_send(world, chance(world, world->n_queues));
            if (exact || chance(world, 4) == 0) {
                world->late = exact ? 0 : chance(world, 3);
                world_sample(world, true);
            }
        }
        world->late = exact ? 0 : chance(world, 3);
        world_sample(world, true);
        ledger_resume(&world->ledger, world->entered, world->entered);
        for (uint64_t i = 0; i < world->entered; i++) {
            bool told = is_told_dropped(world, i);

            if (world->frames[i].fate == FATE_DROPPED) {
                g_assert_true(told);
            } else if (exact) {
                g_assert_false(told);
            }
        }
    }
}

/* The VM runs again, and empties full queues: what still found no room in one
 * is given back, also if it came while a sample was taken, after its counters
 * were read. */
static void test_full_after(void)
{
    for (guint32 seed = 0; seed < 200; seed++) {
        g_autoptr(World) world = world_new(seed);
        uint64_t resumed;

        world_stand(world);
        for (unsigned i = 0; i < 150 * world->n_queues; i++) {
            world_send(world, chance(world, world->n_queues));
        }
        world_sample(world, true);
        ledger_resume(&world->ledger, world->entered, world->entered);
        resumed = world->entered;
        for (unsigned i = 0; i < 30; i++) {
            world_take(world, chance(world, world->n_queues),
                       chance(world, 10));
            world->late = chance(world, 12);
            world_sample(world, true);
        }
        world_sample(world, true);
        for (uint64_t i = resumed; i < world->entered; i++) {
            if (world->frames[i].fate == FATE_DROPPED) {
                g_assert_true(is_told_dropped(world, i));
            }
        }
    }
}

/* The VM stood before we began to look, and any of its queues may have been
 * full by then: none that found no room is taken for one that did. */
static void test_full_before(void)
{
    for (guint32 seed = 0; seed < 200; seed++) {
        g_autoptr(World) world = world_new(seed);

        for (unsigned i = 0; i < world->n_queues; i++) {
            world->content[i] = chance(world, 2) ? LENGTH : chance(world, 100);
        }
        world_sample(world, false);
        for (unsigned i = chance(world, 50); i > 0; i--) {
            world_send(world, chance(world, world->n_queues));
        }
        world_stop(world, false);
        for (unsigned i = 0; i < 50 * world->n_queues; i++) {
            world_send(world, chance(world, world->n_queues));
            if (chance(world, 4) == 0) {
                world_sample(world, false);
            }
        }
        world_sample(world, false);
        ledger_resume(&world->ledger, world->entered, world->entered);
        for (uint64_t i = 0; i < world->entered; i++) {
            if (world->frames[i].fate == FATE_DROPPED) {
                g_assert_true(is_told_dropped(world, i));
            }
        }
    }
}

/* The word of a stop comes when the VM runs again: what was swallowed just
 * before it is looked for, though samples have found no queue that held
 * anything. */
static void test_swallowed_unheard(void)
{
    for (guint32 seed = 0; seed < 200; seed++) {
        g_autoptr(World) world = world_new(seed);
        uint64_t swallowed;
        LedgerSample sample;
        LedgerMethod method;

        world_sample(world, true);
        world_quiet(world, true);
        world_run(world, 100, false, true);
        swallowed = world->entered;
        world_send(world, 0);
        world_take(world, 0, 1);
        for (unsigned i = 1 + chance(world, 8); i > 0; i--) {
            for (unsigned n = 0; n < 20; n++) {
                world_send(world, 1);
            }
            world_take(world, 1, UINT_MAX);
            world_sample(world, true);
        }
        sample = world_sample(world, true);
        ledger_stop(&world->ledger, &sample, UINT32_MAX, false, &method);
        g_assert_cmpuint(
            ledger_ran_unheard(&world->ledger, world->time_us, world->entered),
            <=, swallowed);
    }
}

/* vhost loses what it swallows: which frame of which queue that was shows when
 * all else has come through. */
static void test_lost(void)
{
    for (guint32 seed = 0; seed < 200; seed++) {
        g_autoptr(World) world = world_new(seed);
        unsigned queue = chance(world, world->n_queues);
        uint32_t swallowed;
        LedgerSample sample;
        uint64_t lost;

        world_sample(world, true);
        world_quiet(world, true);
        lost = world->entered;
        world_send(world, queue);
        world_take(world, queue, 1);
        world_stop(world, true);
        for (unsigned i = 0; i < 30; i++) {
            world_send(world, chance(world, world->n_queues));
        }
        world_deliver(world, true);
        world_sample(world, true);
        ledger_resume(&world->ledger, world->entered, world->entered);
        for (unsigned i = 0; i < world->n_queues; i++) {
            world_take(world, i, UINT_MAX);
        }
        world_deliver(world, false);
        sample = world_sample(world, true);
        g_assert_true(ledger_swallowed(&world->ledger, &sample, &swallowed));
        g_assert_cmpuint(swallowed, ==, 1);
        for (uint64_t i = lost; i < world->entered; i++) {
            g_assert_true(ledger_queue_lost(&world->ledger,
                                            world->frames[i].queue,
                                            world->frames[i].serial,
                                            swallowed) == (i == lost));
        }
    }
}

/* The VM runs again, and its used indices count from elsewhere: they no longer
 * tell what it lacks. */
static void test_new_index(void)
{
    g_autoptr(World) world = world_new(3);

    world_sample(world, true);
    world_quiet(world, true);
    for (unsigned i = 0; i < world->n_queues; i++) {
        world_send(world, i);
        world_take(world, i, 1); /* and never delivers */
    }
    g_assert_cmpint(world_stop(world, true), ==, LEDGER_USED_INDEX);
    ledger_resume(&world->ledger, world->entered, world->entered);
    for (unsigned i = 0; i < world->n_queues; i++) {
        world->used[i]++; /* as many as it lacks, by the old count */
    }
    ledger_new_index(&world->ledger);
    world_sample(world, true);
    for (unsigned i = 0; i < world->n_queues; i++) {
        g_assert_cmpuint(world->ledger.queues[i].lacks, ==, 1);
        g_assert_true(ledger_queue_lost(
            &world->ledger, i, world->ledger.queues[i].stop_entered - 1, 1));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ledger-queues/stop", test_stop);
    g_test_add_func("/ledger-queues/dropped", test_dropped);
    g_test_add_func("/ledger-queues/counters", test_counters);
    g_test_add_func("/ledger-queues/swapped", test_swapped);
    g_test_add_func("/ledger-queues/full", test_full);
    g_test_add_func("/ledger-queues/full-after", test_full_after);
    g_test_add_func("/ledger-queues/full-before", test_full_before);
    g_test_add_func("/ledger-queues/swallowed-unheard", test_swallowed_unheard);
    g_test_add_func("/ledger-queues/lost", test_lost);
    g_test_add_func("/ledger-queues/new-index", test_new_index);
    return g_test_run();
}
