/* SPDX-License-Identifier: BSD-2-Clause */
/* The ledger of a TAP with several queues, while the VM stands still and when
 * it runs again. */
#include "ledger-queues-world.h"

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
        bool exact = world_chance(world, 2);

        world_stand(world);
        for (unsigned i = 0; i < 150 * world->n_queues; i++) {
            world_send(world, world_chance(world, world->n_queues));
            if (exact || world_chance(world, 4) == 0) {
                world->late = exact ? 0 : world_chance(world, 3);
                world_sample(world, true);
            }
        }
        world->late = exact ? 0 : world_chance(world, 3);
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
            world_send(world, world_chance(world, world->n_queues));
        }
        world_sample(world, true);
        ledger_resume(&world->ledger, world->entered, world->entered);
        resumed = world->entered;
        for (unsigned i = 0; i < 30; i++) {
            world_take(world, world_chance(world, world->n_queues),
                       world_chance(world, 10));
            world->late = world_chance(world, 12);
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
            world->content[i] =
                world_chance(world, 2) ? LENGTH : world_chance(world, 100);
        }
        world_sample(world, false);
        for (unsigned i = world_chance(world, 50); i > 0; i--) {
            world_send(world, world_chance(world, world->n_queues));
        }
        world_stop(world, false);
        for (unsigned i = 0; i < 50 * world->n_queues; i++) {
            world_send(world, world_chance(world, world->n_queues));
            if (world_chance(world, 4) == 0) {
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
        for (unsigned i = 1 + world_chance(world, 8); i > 0; i--) {
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
        unsigned queue = world_chance(world, world->n_queues);
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
            world_send(world, world_chance(world, world->n_queues));
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
    g_test_add_func("/ledger-queues/full", test_full);
    g_test_add_func("/ledger-queues/full-after", test_full_after);
    g_test_add_func("/ledger-queues/full-before", test_full_before);
    g_test_add_func("/ledger-queues/swallowed-unheard", test_swallowed_unheard);
    g_test_add_func("/ledger-queues/lost", test_lost);
    g_test_add_func("/ledger-queues/new-index", test_new_index);
    return g_test_run();
}
