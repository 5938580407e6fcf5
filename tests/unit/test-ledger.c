/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ledger against a simulated TAP whose every frame's fate is known: a
 * queue of bounded length, a VMM that takes frames out of it and a guest that
 * gets them a little later, samples at arbitrary moments, and a stop around
 * which the VMM swallows some.
 */
#include "switchover/ledger.h"

#include <glib.h>

#define FRAMES_MAX 20000

typedef enum Fate {
    FATE_QUEUED,
    FATE_TAKEN,
    FATE_DELIVERED,
    FATE_DROPPED
} Fate;

typedef struct World {
    GRand *rand;
    Ledger ledger;
    unsigned capacity; /* of the TAP's queue */
    Fate fate[FRAMES_MAX];
    uint64_t entered;
    uint64_t unseen; /* frames captured, not yet told to the ledger */
    uint64_t queue[FRAMES_MAX];
    uint64_t queue_head, queue_tail;
    uint64_t foreign;           /* in the queue before the capture began */
    uint64_t taken[FRAMES_MAX]; /* numbers taken, not yet delivered */
    unsigned n_taken;
    LinkCounters counters;
    uint16_t used;
    int64_t time_us;
} World;

static unsigned chance(World *world, unsigned below)
{
    return (unsigned)g_rand_int_range(world->rand, 0, (gint32)below);
}

static void world_init(World *world, guint32 seed, unsigned capacity,
                       unsigned foreign)
{
    *world = (World){.capacity = capacity, .foreign = foreign};
    world->rand = g_rand_new_with_seed(seed);
    world->counters.tx_packets = chance(world, 100000);
    world->counters.tx_dropped = chance(world, 1000);
    world->used = (uint16_t)chance(world, 65536);
    ledger_init(&world->ledger, 0, capacity);
}

static void world_free(World *world)
{
    g_rand_free(world->rand);
}

static uint64_t queue_len(const World *world)
{
    return world->queue_tail - world->queue_head + world->foreign;
}

/* The host sends a frame into the TAP. */
static void world_send(World *world)
{
    uint64_t number = world->entered++;

    world->unseen++;
    if (queue_len(world) >= world->capacity) {
        world->fate[number] = FATE_DROPPED;
        world->counters.tx_dropped++;
    } else {
        world->fate[number] = FATE_QUEUED;
        world->queue[world->queue_tail++] = number;
    }
}

/* The VMM takes a frame out of the queue. */
static void world_take(World *world)
{
    if (world->foreign > 0) {
        world->foreign--;
        world->counters.tx_packets++;
        world->used++;
    } else if (world->queue_head < world->queue_tail) {
        uint64_t number = world->queue[world->queue_head++];

        world->counters.tx_packets++;
        world->fate[number] = FATE_TAKEN;
        world->taken[world->n_taken++] = number;
    }
}

/* The guest gets what the VMM took. */
static void world_deliver(World *world)
{
    for (unsigned i = 0; i < world->n_taken; i++) {
        world->fate[world->taken[i]] = FATE_DELIVERED;
        world->used++;
    }
    world->n_taken = 0;
}

static LedgerSample world_sample(World *world, bool used_known, bool stable)
{
    LedgerSample sample = {
        .time_us = world->time_us += 1000,
        .used_known = used_known,
        .used_stable = stable,
        .used = world->used,
        .counters = world->counters,
    };

    ledger_captured(&world->ledger, 0, world->unseen);
    world->unseen = 0;
    ledger_counted(&world->ledger);
    ledger_sample(&world->ledger, &sample);
    return sample;
}

/* Number of the first frame that the guest can still get and did not. */
static uint64_t world_truth(const World *world)
{
    uint64_t number = 0;

    while (number < world->entered && (world->fate[number] == FATE_DELIVERED ||
                                       world->fate[number] == FATE_DROPPED)) {
        number++;
    }
    return number;
}

/* Some traffic; @slow: the VMM takes less than comes. */
static void world_run(World *world, unsigned steps, bool slow, bool used_known)
{
    for (unsigned i = 0; i < steps; i++) {
        switch (chance(world, 4)) {
        case 0:
            for (unsigned n = 1 + chance(world, slow ? 12 : 4); n > 0; n--) {
                world_send(world);
            }
            break;
        case 1:
            for (unsigned n = 1 + chance(world, slow ? 4 : 12); n > 0; n--) {
                world_take(world);
            }
            world_deliver(world);
            break;
        case 2:
            world_take(world);
            if (chance(world, 8)) {
                world_deliver(world);
            }
            break;
        default:
            world_sample(world, used_known, true);
            break;
        }
    }
}

/* Everything is taken and delivered: the moment that calibrates. */
static void world_quiet(World *world, bool used_known)
{
    while (queue_len(world) > 0) {
        world_take(world);
    }
    world_deliver(world);
    do {
        world_sample(world, used_known, true);
        world->time_us += 200000; /* nothing moves for a while */
    } while (ledger_wants_sample(&world->ledger, used_known));
    world_sample(world, used_known, true);
}

static void test_exact(void)
{
    for (guint32 seed = 0; seed < 2000; seed++) {
        g_autofree World *world = g_new0(World, 1);
        LedgerMethod method;
        LedgerSample sample;
        unsigned swallowed;

        world_init(world, seed, 1000, seed % 3 ? 0 : seed % 50);
        world_sample(world, true, true);
        world_run(world, 100, false, true);
        world_quiet(world, true);
        world_run(world, 1 + chance(world, 400), false, true);
        world_deliver(world);
        /* The stop: sends go on, a few more are taken and never delivered. */
        swallowed = chance(world, 5);
        for (unsigned i = 0; i < swallowed; i++) {
            world_send(world);
            world_take(world);
        }
        sample = world_sample(world, true, false);
        g_assert_cmpuint(
            ledger_stop(&world->ledger, &sample, UINT32_MAX, false, &method),
            ==, world_truth(world));
        g_assert_cmpint(method, ==, LEDGER_USED_INDEX);
        world_free(world);
    }
}

/* A frame that another processor is still writing to the ring hides those
 * behind it, which the VMM may have taken: that must not shift the numbers. */
static void test_late_slot(void)
{
    for (guint32 seed = 0; seed < 500; seed++) {
        g_autofree World *world = g_new0(World, 1);
        LedgerMethod method;
        LedgerSample sample;

        world_init(world, seed, 1000, 0);
        world_sample(world, true, true);
        world_run(world, 100, false, true);
        world_quiet(world, true);
        for (unsigned i = 0; i < 30; i++) {
            unsigned hidden = 1 + chance(world, 2);

            world_send(world);
            world_send(world);
            world_take(world);
            world_take(world);
            world_deliver(world);
            world->unseen -= hidden;
            world_sample(world, true, true);
            world->unseen += hidden;
            if (i % 2) {
                world_sample(world, true, true);
            }
        }
        sample = world_sample(world, true, true);
        g_assert_cmpuint(
            ledger_stop(&world->ledger, &sample, UINT32_MAX, false, &method),
            ==, world_truth(world));
        world_free(world);
    }
}

/* With drops what is shipped starts at the first undelivered frame, or a
 * little before it where a sample could not tell; never behind it. */
static void test_full_queue(void)
{
    uint64_t repeats = 0;

    for (guint32 seed = 0; seed < 2000; seed++) {
        g_autofree World *world = g_new0(World, 1);
        LedgerMethod method;
        LedgerSample sample;
        uint64_t first, truth;

        world_init(world, seed, 20 + seed % 40, 0);
        world_sample(world, true, true);
        world_quiet(world, true);
        world_run(world, 1 + chance(world, 1500), true, true);
        world_deliver(world);
        for (unsigned i = chance(world, 4); i > 0; i--) {
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
        world_free(world);
    }
    /* A sample every few frames: seldom more than one is uncertain. */
    g_test_message("%" G_GUINT64_FORMAT " repeats in 2000 stops", repeats);
    g_assert_cmpuint(repeats, <, 2000 * 12);
}

static void test_counters_only(void)
{
    for (guint32 seed = 0; seed < 500; seed++) {
        g_autofree World *world = g_new0(World, 1);
        LedgerMethod method;
        LedgerSample sample;
        uint64_t first;

        world_init(world, seed, 1000, 0);
        world_sample(world, false, true);
        world_quiet(world, false);
        world_run(world, 300, false, false);
        world_deliver(world);
        for (unsigned i = chance(world, 5); i > 0; i--) {
            world_send(world);
            world_take(world);
        }
        sample = world_sample(world, false, true);
        first =
            ledger_stop(&world->ledger, &sample, UINT32_MAX, false, &method);
        g_assert_cmpint(method, ==, LEDGER_COUNTERS);
        g_assert_cmpuint(first, <=, world_truth(world));
        g_assert_cmpuint(world_truth(world) - first, <=, 8);
        world_free(world);
    }
}

static void test_fixed_overlap(void)
{
    g_autofree World *world = g_new0(World, 1);
    LedgerMethod method;
    LedgerSample sample;

    world_init(world, 1, 1000, 0);
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
    world_free(world);
}

/* A guest that was reset starts its used index anew. */
static void test_index_void(void)
{
    g_autofree World *world = g_new0(World, 1);
    LedgerMethod method;
    LedgerSample sample;

    world_init(world, 7, 1000, 0);
    world->used = 5000;
    world_sample(world, true, true);
    world_run(world, 200, false, true);
    world_quiet(world, true);
    world->used = 0;
    sample = world_sample(world, true, false);
    ledger_stop(&world->ledger, &sample, UINT32_MAX, false, &method);
    g_assert_cmpint(method, ==, LEDGER_COUNTERS);
    world_free(world);
}

/* Some frames were not counted: until the index has been calibrated anew, the
 * counters have to do. */
static void test_new_index(void)
{
    g_autofree World *world = g_new0(World, 1);
    LedgerMethod method;
    LedgerSample sample;

    world_init(world, 9, 1000, 0);
    world_sample(world, true, true);
    world_quiet(world, true);
    world_send(world);
    world_take(world);
    world_deliver(world);
    world->used = (uint16_t)(world->used + 39);
    ledger_new_index(&world->ledger);
    sample = world_sample(world, true, false);
    ledger_stop(&world->ledger, &sample, UINT32_MAX, false, &method);
    g_assert_cmpint(method, ==, LEDGER_COUNTERS);
    ledger_restart(&world->ledger, 0);
    world_quiet(world, true);
    sample = world_sample(world, true, true);
    g_assert_cmpuint(
        ledger_stop(&world->ledger, &sample, UINT32_MAX, false, &method), ==,
        1);
    g_assert_cmpint(method, ==, LEDGER_USED_INDEX);
    world_free(world);
}

/* The word of the stop comes late: samples taken meanwhile do not take what
 * the VMM has swallowed for the rule. */
static void test_late_word(void)
{
    g_autofree World *world = g_new0(World, 1);
    LedgerMethod method;
    LedgerSample sample;

    world_init(world, 5, 1000, 0);
    world_sample(world, true, true);
    world_run(world, 300, false, true);
    world_quiet(world, true);
    world_run(world, 50, false, true);
    world_deliver(world);
    for (unsigned i = 0; i < 3; i++) {
        world_send(world);
        world_take(world); /* and never delivers */
    }
    for (unsigned i = 0; i < 50; i++) {
        world_send(world);
        sample = world_sample(world, true, true);
    }
    g_assert_true(ledger_wants_sample(&world->ledger, true));
    g_assert_cmpuint(
        ledger_stop(&world->ledger, &sample, UINT32_MAX, false, &method), ==,
        world_truth(world));
    world_free(world);
}

/* The same, and the index began anew just before: what some samples within a
 * few milliseconds agree on is not trusted. */
static void test_late_word_after_new_index(void)
{
    g_autofree World *world = g_new0(World, 1);
    LedgerMethod method;
    LedgerSample sample;

    world_init(world, 5, 1000, 0);
    world_sample(world, true, true);
    world_quiet(world, true);
    ledger_new_index(&world->ledger);
    for (unsigned i = 0; i < 2; i++) {
        world_send(world);
        world_take(world); /* and never delivers */
    }
    for (unsigned i = 0; i < 2 * LEDGER_USED_WINDOW; i++) {
        world->time_us += 1000;
        sample = world_sample(world, true, true);
    }
    g_assert_true(ledger_wants_sample(&world->ledger, true));
    g_assert_cmpuint(
        ledger_stop(&world->ledger, &sample, UINT32_MAX, false, &method), <=,
        world_truth(world));
    g_assert_cmpint(method, ==, LEDGER_COUNTERS);
    world_free(world);
}

/* A guest that is behind: all along the VMM holds a frame for which there is no
 * receive buffer. That is under way, however long it lasts. */
static void test_guest_behind(void)
{
    g_autofree World *world = g_new0(World, 1);
    LedgerMethod method;
    LedgerSample sample;

    world_init(world, 8, 1000, 0);
    world_sample(world, true, true);
    world_run(world, 100, false, true);
    world_quiet(world, true);
    for (unsigned i = 0; i < 200; i++) {
        world_send(world);
        world_send(world);
        world_deliver(world);
        world_take(world);
        world->time_us += 10000;
        sample = world_sample(world, true, true);
    }
    g_assert_cmpuint(
        ledger_stop(&world->ledger, &sample, UINT32_MAX, false, &method), ==,
        world_truth(world));
    g_assert_cmpint(method, ==, LEDGER_USED_INDEX);
    world_free(world);
}

/* A frame that the VMM filters out is taken and uses no buffer: after a while
 * of such samples, or one in a quiet moment, that is the rule. */
static void test_filtered_frame(void)
{
    g_autofree World *world = g_new0(World, 1);
    LedgerMethod method;
    LedgerSample sample;

    world_init(world, 6, 1000, 0);
    world_sample(world, true, true);
    world_quiet(world, true);
    world_send(world);
    world_take(world);
    world_deliver(world);
    world->used--;
    world_sample(world, true, true);
    g_assert_true(ledger_wants_sample(&world->ledger, true));
    world_quiet(world, true);
    g_assert_false(ledger_wants_sample(&world->ledger, true));
    sample = world_sample(world, true, true);
    g_assert_cmpuint(
        ledger_stop(&world->ledger, &sample, UINT32_MAX, false, &method), ==,
        1);
    g_assert_cmpint(method, ==, LEDGER_USED_INDEX);
    world_free(world);
}

/* What a stopped VM's full queue refused is known frame by frame. */
static void test_dropped_while_stopped(void)
{
    g_autofree World *world = g_new0(World, 1);
    LedgerMethod method;
    LedgerSample sample;

    world_init(world, 3, 100, 0);
    world_sample(world, true, true);
    world_run(world, 300, false, true);
    world_quiet(world, true);
    sample = world_sample(world, true, true);
    ledger_stop(&world->ledger, &sample, UINT32_MAX, false, &method);
    for (unsigned i = 0; i < 3000; i++) {
        LinkCounters counters = world->counters;

        world_send(world);
        if (chance(world, 20) == 0) {
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
    world_free(world);
}

/* Some frames that come at about the time of a stop: samples in between may
 * find some that have not been counted. */
static void world_send_around_stop(World *world, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        LinkCounters counters = world->counters;

        world_send(world);
        if (chance(world, 6) == 0) {
            LinkCounters now = world->counters;

            world->counters = chance(world, 2) ? counters : now;
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
        g_autofree World *world = g_new0(World, 1);
        unsigned margin = seed % 5, room;
        unsigned repeats = 0;
        uint64_t stopped, told;
        LedgerMethod method;
        LedgerSample sample;

        world_init(world, seed, 40, 0);
        room = chance(world, 24);
        world_sample(world, true, true);
        world_run(world, 100, false, true);
        world_quiet(world, true);
        while (queue_len(world) < world->capacity) {
            world_send(world);
        }
        world_sample(world, true, true);
        world_send_around_stop(world, chance(world, 20));
        for (unsigned i = 0; i < room; i++) {
            world->fate[world->queue[world->queue_head++]] = FATE_DELIVERED;
        }
        stopped = world->entered;
        world_send_around_stop(world, chance(world, 40));
        told = stopped + chance(world, 2 * margin + 1) - margin;
        sample = world_sample(world, true, true);
        /* A frame that a sample found uncounted is counted with others. */
        ledger_made_room(&world->ledger, told - margin - 1, told + margin + 1);
        ledger_stop(&world->ledger, &sample, UINT32_MAX, false, &method);
        world_send_around_stop(world, chance(world, 100));
        world_sample(world, true, true);
        for (uint64_t i = stopped - margin; i < world->entered; i++) {
            bool dropped = ledger_was_dropped(&world->ledger, i);

            g_assert_true(dropped || world->fate[i] != FATE_DROPPED);
            repeats += dropped && world->fate[i] != FATE_DROPPED;
        }
        g_assert_cmpuint(repeats, <=, 2 * margin + 16);
        world_free(world);
    }
}

/* The queue is full when we begin to look, and never empty until the stop: what
 * lay in it before is not known, but how much it can have been. */
static void test_never_empty(void)
{
    uint64_t repeats = 0;

    for (guint32 seed = 0; seed < 1000; seed++) {
        g_autofree World *world = g_new0(World, 1);
        unsigned capacity = 20 + seed % 40;
        LedgerMethod method;
        LedgerSample sample;
        uint64_t first, truth;

        world_init(world, seed, capacity, capacity - seed % 10);
        world_sample(world, true, true);
        for (unsigned i = 200 + chance(world, 400); i > 0; i--) {
            world_send(world);
            if (queue_len(world) > capacity / 2 && chance(world, 4) == 0) {
                world_take(world);
                world_deliver(world);
            }
            if (chance(world, 3) == 0) {
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
        world_free(world);
    }
    /* The overlap, and a few where a sample could not tell. */
    g_test_message("%" G_GUINT64_FORMAT " repeats in 1000 stops", repeats);
    g_assert_cmpuint(repeats, <, 1000 * 20);
}

/* A stop of vhost destroys some of the oldest frames of a full queue, and
 * nothing counts them. After the resume the queue never seems empty again: that
 * tells how many, and then all is exact again. */
static void test_destroyed(void)
{
    for (guint32 seed = 0; seed < 300; seed++) {
        g_autofree World *world = g_new0(World, 1);
        unsigned n = seed % (LEDGER_DESTROYED_MAX + 1);
        LedgerMethod method;
        LedgerSample sample;
        uint32_t destroyed;
        uint64_t first;

        world_init(world, seed, 100, 0);
        world_sample(world, true, true);
        world_run(world, 100, false, true);
        world_quiet(world, true);
        while (queue_len(world) < world->capacity) {
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
        world_free(world);
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
    while (queue_len(world) < world->capacity) {
        world_send(world);
    }
    sample = world_sample(world, true, true);
    ledger_stop(&world->ledger, &sample, UINT32_MAX, false, &method);
    world->queue_head += destroyed;
    world_sample(world, true, true);
    ledger_resume(&world->ledger, world->entered, world->entered);
    while (!ledger_find_destroyed(&world->ledger, &told)) {
        world_send(world);
        for (unsigned i = chance(world, taken + 1); i > 0; i--) {
            world_take(world);
        }
        world_deliver(world);
        if (queue_len(world) == 0 && n % 20 == 0) {
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
        g_autofree World *world = g_new0(World, 1);

        world_init(world, seed, 100, 0);
        world_settle(world, seed % (LEDGER_DESTROYED_MAX + 1), 6);
        world_free(world);
    }
}

/* The VM stopped with a full queue, and runs again when the word of that comes:
 * the guest has taken all. What is looked through for losses begins no later
 * than the stop, and what that destroyed is not pending for ever. */
static void test_unheard(void)
{
    for (guint32 seed = 0; seed < 300; seed++) {
        g_autofree World *world = g_new0(World, 1);
        unsigned n = seed % (LEDGER_DESTROYED_MAX + 1);
        uint64_t stopped;
        LedgerMethod method;
        LedgerSample sample;
        uint32_t destroyed;

        world_init(world, seed, 100, 0);
        world_sample(world, true, true);
        world_quiet(world, true);
        while (queue_len(world) < world->capacity) {
            world_send(world);
        }
        stopped = world->entered;
        world->queue_head += n;
        for (unsigned i = chance(world, 500); i > 0; i--) {
            world_send(world);
        }
        for (unsigned i = 50 + chance(world, 500); i > 0; i--) {
            world_send(world);
            world_take(world);
            world_take(world);
            world_deliver(world);
        }
        while (queue_len(world) > 0) {
            world_take(world);
        }
        world_deliver(world);
        sample = world_sample(world, true, true);
        ledger_made_room(&world->ledger, stopped - 2, stopped + 2);
        g_assert_cmpuint(
            ledger_stop(&world->ledger, &sample, UINT32_MAX, false, &method),
            <=, stopped);
        ledger_resume(&world->ledger, world->entered, world->entered);
        while (!ledger_find_destroyed(&world->ledger, &destroyed)) {
            world_sample(world, true, true);
        }
        g_assert_cmpuint(destroyed, ==, n);
        ledger_destroyed(&world->ledger, destroyed);
        ledger_restart(&world->ledger, 0);
        world_quiet(world, true);
        g_assert_cmpuint(ledger_pending(&world->ledger), ==, 0);
        world_free(world);
    }
}

/* Likewise, and some samples have found the guest beyond the stop when the word
 * comes: the one before the stop tells what the queue can have held. */
static void test_ran_unheard(void)
{
    for (guint32 seed = 0; seed < 300; seed++) {
        g_autofree World *world = g_new0(World, 1);
        unsigned n = seed % (LEDGER_DESTROYED_MAX + 1);
        uint64_t stopped, oldest;
        int64_t stop_us;
        LedgerMethod method;
        LedgerSample sample;
        uint32_t destroyed;

        world_init(world, seed, 100, 0);
        world_sample(world, true, true);
        world_run(world, 100, false, true);
        world_quiet(world, true);
        while (queue_len(world) < world->capacity) {
            world_send(world);
        }
        for (unsigned i = chance(world, 500); i > 0; i--) {
            world_send(world);
        }
        stopped = world->entered;
        oldest = world->queue[world->queue_head];
        stop_us = world->time_us + 500;
        world->queue_head += n;
        for (unsigned i = chance(world, 500); i > 0; i--) {
            world_send(world);
        }
        for (unsigned i = chance(world, LEDGER_PAST - 2); i > 0; i--) {
            world_take(world);
            world_deliver(world);
            world_sample(world, true, true);
        }
        while (queue_len(world) > 0) {
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
        while (!ledger_find_destroyed(&world->ledger, &destroyed)) {
            world_sample(world, true, true);
        }
        g_assert_cmpuint(destroyed, ==, n);
        ledger_destroyed(&world->ledger, destroyed);
        ledger_restart(&world->ledger, 0);
        world_quiet(world, true);
        g_assert_cmpuint(ledger_pending(&world->ledger), ==, 0);
        world_free(world);
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

/* At any moment entered = taken + pending + dropped behind it. */
static void test_balance(void)
{
    for (guint32 seed = 0; seed < 300; seed++) {
        g_autofree World *world = g_new0(World, 1);

        world_init(world, seed, 30, 0);
        world_sample(world, true, true);
        for (unsigned i = 0; i < 50; i++) {
            world_run(world, 20, seed % 2, true);
            world_sample(world, true, true);
            g_assert_cmpuint(ledger_pending(&world->ledger), ==,
                             queue_len(world));
            g_assert_cmpuint(ledger_dropped(&world->ledger) +
                                 ledger_pending(&world->ledger) +
                                 world->ledger.taken -
                                 world->ledger.dropped_before,
                             ==, ledger_entered(&world->ledger));
        }
        world_free(world);
    }
}

/* A sample that frames fall into is read again if some of them may have found
 * the queue full; where there is room it is as good as any. */
static void test_read_again(void)
{
    World world;
    Ledger *ledger = &world.ledger;

    world_init(&world, 1, 200 + LEDGER_DESTROYED_MAX, 0);
    world_sample(&world, false, true);
    ledger_counted(ledger);
    g_assert_false(ledger_should_read_again(ledger, &world.counters));
    ledger_captured(ledger, 0, 4);
    g_assert_false(ledger_should_read_again(ledger, &world.counters));
    world.counters.tx_dropped++; /* one of them, or one before */
    g_assert_true(ledger_should_read_again(ledger, &world.counters));
    ledger_counted(ledger);
    g_assert_false(ledger_should_read_again(ledger, &world.counters));
    world.counters.tx_dropped--;
    ledger_captured(ledger, 0, 200);
    g_assert_true(ledger_should_read_again(ledger, &world.counters));
    world.counters.tx_packets += 100;
    g_assert_false(ledger_should_read_again(ledger, &world.counters));
    world_free(&world);
}

/* We begin beside a VM that stands, and know what its queue holds: from then on
 * all is told as if it had been captured. With @between a frame or two came
 * while the queue was filled, in between. */
static void test_found(gconstpointer data)
{
    bool between = GPOINTER_TO_INT(data);

    for (guint32 seed = 0; seed < 2000; seed++) {
        g_autofree World *world = g_new0(World, 1);
        uint64_t first = seed % 7, taken, full;
        LedgerFound found;
        uint32_t destroyed;

        world_init(world, seed, 10 + seed % 40, 0);
        ledger_init(&world->ledger, first, world->capacity + 63);
        world->entered = world->queue_head = world->queue_tail = first;
        for (unsigned n = chance(world, 10); n > 0; n--) {
            world_send(world);
        }
        for (unsigned n = chance(world, 3); n > 0; n--) {
            world_take(world);
        }
        for (unsigned n = chance(world, 60); n > 0; n--) {
            world_send(world);
        }
        taken = world->n_taken;
        full = first + taken + queue_len(world);
        if (between) {
            full -= MIN(full - first, taken + chance(world, 5));
            full = MAX(full, first + taken);
        }
        ledger_captured(&world->ledger, 0, world->unseen);
        world->unseen = 0;
        found = (LedgerFound){.counters = world->counters,
                              .taken = taken,
                              .swallowed = taken,
                              .content = queue_len(world),
                              .full = full,
                              .idle = taken == 0};
        g_assert_cmpuint(ledger_found(&world->ledger, &found), ==, first);
        g_assert_cmpuint(ledger_doubt(&world->ledger), ==, 0);
        for (unsigned n = chance(world, 60); n > 0; n--) {
            world_send(world);
            if (chance(world, 3) == 0) {
                world_sample(world, false, true);
            }
        }
        world_sample(world, false, true);
        g_assert_cmpuint(ledger_pending(&world->ledger), ==, queue_len(world));
        g_assert_cmpuint(world->ledger.content, ==, queue_len(world));
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
        world_free(world);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ledger/exact", test_exact);
    g_test_add_func("/ledger/late-slot", test_late_slot);
    g_test_add_func("/ledger/full-queue", test_full_queue);
    g_test_add_func("/ledger/counters-only", test_counters_only);
    g_test_add_func("/ledger/fixed-overlap", test_fixed_overlap);
    g_test_add_func("/ledger/index-void", test_index_void);
    g_test_add_func("/ledger/new-index", test_new_index);
    g_test_add_func("/ledger/late-word", test_late_word);
    g_test_add_func("/ledger/late-word-after-new-index",
                    test_late_word_after_new_index);
    g_test_add_func("/ledger/guest-behind", test_guest_behind);
    g_test_add_func("/ledger/filtered-frame", test_filtered_frame);
    g_test_add_func("/ledger/dropped-while-stopped",
                    test_dropped_while_stopped);
    g_test_add_func("/ledger/room-made-by-stop", test_room_made_by_stop);
    g_test_add_func("/ledger/never-empty", test_never_empty);
    g_test_add_func("/ledger/destroyed", test_destroyed);
    g_test_add_func("/ledger/destroyed-and-late-slot",
                    test_destroyed_and_late_slot);
    g_test_add_func("/ledger/unheard", test_unheard);
    g_test_add_func("/ledger/ran-unheard", test_ran_unheard);
    g_test_add_func("/ledger/ran-unheard-late", test_ran_unheard_late);
    g_test_add_data_func("/ledger/found", GINT_TO_POINTER(false), test_found);
    g_test_add_data_func("/ledger/found-between", GINT_TO_POINTER(true),
                         test_found);
    g_test_add_func("/ledger/balance", test_balance);
    g_test_add_func("/ledger/read-again", test_read_again);
    return g_test_run();
}
