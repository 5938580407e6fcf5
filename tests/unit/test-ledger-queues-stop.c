/* SPDX-License-Identifier: BSD-2-Clause */
/* The ledger of a TAP with several queues, when the VM stops. */
#include "ledger-queues-world.h"

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
        world_run(world, 50 + world_chance(world, 100), world_chance(world, 2),
                  true);
        world_quiet(world, true);
        world_run(world, world_chance(world, 80), world_chance(world, 2), true);
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
        bool rest = world_chance(world, 2);
        uint64_t dropped;

        world_sample(world, true);
        world_quiet(world, true);
        dropped = world->counters.tx_dropped;
        world_run(world, 200 * world->n_queues, true, true);
        g_assert_cmpuint(world->counters.tx_dropped, >, dropped);
        if (rest) {
            world_quiet(world, true);
            world_run(world, world_chance(world, 80), true, true);
            dropped = world->counters.tx_dropped;
        } else if (world_chance(world, 2)) {
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
        world_run(world, world_chance(world, 80), true, false);
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

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ledger-queues/stop", test_stop);
    g_test_add_func("/ledger-queues/dropped", test_dropped);
    g_test_add_func("/ledger-queues/counters", test_counters);
    g_test_add_func("/ledger-queues/swapped", test_swapped);
    return g_test_run();
}
