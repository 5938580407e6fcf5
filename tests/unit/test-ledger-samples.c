/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The samples of a VM that runs: what they teach about what the guest has got,
 * and when they are not trusted.
 */
#include "ledger-world.h"

/* A frame that another processor is still writing to the ring hides those
 * behind it, which the VMM may have taken: that must not shift the numbers. */
static void test_late_slot(void)
{
    for (guint32 seed = 0; seed < 500; seed++) {
        g_autoptr(World) world = world_new(seed, 1000, 0);
        LedgerMethod method;
        LedgerSample sample;

        world_sample(world, true, true);
        world_run(world, 100, false, true);
        world_quiet(world, true);
        for (unsigned i = 0; i < 30; i++) {
            unsigned hidden = 1 + world_chance(world, 2);

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
    }
}

/* A guest that was reset starts its used index anew. */
static void test_index_void(void)
{
    g_autoptr(World) world = world_new(7, 1000, 0);
    LedgerMethod method;
    LedgerSample sample;

    world->used = 5000;
    world_sample(world, true, true);
    world_run(world, 200, false, true);
    world_quiet(world, true);
    world->used = 0;
    sample = world_sample(world, true, false);
    ledger_stop(&world->ledger, &sample, UINT32_MAX, false, &method);
    g_assert_cmpint(method, ==, LEDGER_COUNTERS);
}

/* Some frames were not counted: until the index has been calibrated anew, the
 * counters have to do. */
static void test_new_index(void)
{
    g_autoptr(World) world = world_new(9, 1000, 0);
    LedgerMethod method;
    LedgerSample sample;

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
}

/* The word of the stop comes late: samples taken meanwhile do not take what
 * the VMM has swallowed for the rule. */
static void test_late_word(void)
{
    g_autoptr(World) world = world_new(5, 1000, 0);
    LedgerMethod method;
    LedgerSample sample;

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
}

/* The same, and the index began anew just before: what some samples within a
 * few milliseconds agree on is not trusted. */
static void test_late_word_after_new_index(void)
{
    g_autoptr(World) world = world_new(5, 1000, 0);
    LedgerMethod method;
    LedgerSample sample;

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
}

/* A guest that is behind: all along the VMM holds a frame for which there is no
 * receive buffer. That is under way, however long it lasts. */
static void test_guest_behind(void)
{
    g_autoptr(World) world = world_new(8, 1000, 0);
    LedgerMethod method;
    LedgerSample sample;

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
}

/* A frame that the VMM filters out is taken and uses no buffer: after a while
 * of such samples, or one in a quiet moment, that is the rule. */
static void test_filtered_frame(void)
{
    g_autoptr(World) world = world_new(6, 1000, 0);
    LedgerMethod method;
    LedgerSample sample;

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
}

/* At any moment entered = taken + pending + dropped behind it. */
static void test_balance(void)
{
    for (guint32 seed = 0; seed < 300; seed++) {
        g_autoptr(World) world = world_new(seed, 30, 0);

        world_sample(world, true, true);
        for (unsigned i = 0; i < 50; i++) {
            world_run(world, 20, seed % 2, true);
            world_sample(world, true, true);
            g_assert_cmpuint(ledger_pending(&world->ledger), ==,
                             world_queue_len(world));
            g_assert_cmpuint(ledger_dropped(&world->ledger) +
                                 ledger_pending(&world->ledger) +
                                 world->ledger.taken -
                                 world->ledger.dropped_before,
                             ==, ledger_entered(&world->ledger));
        }
    }
}

/* A sample that frames fall into is read again if some of them may have found
 * the queue full; where there is room it is as good as any. */
static void test_read_again(void)
{
    g_autoptr(World) world = world_new(1, 200 + LEDGER_DESTROYED_MAX, 0);
    Ledger *ledger = &world->ledger;

    world_sample(world, false, true);
    ledger_counted(ledger);
    g_assert_false(ledger_should_read_again(ledger, &world->counters));
    ledger_captured(ledger, 0, 4);
    g_assert_false(ledger_should_read_again(ledger, &world->counters));
    world->counters.tx_dropped++; /* one of them, or one before */
    g_assert_true(ledger_should_read_again(ledger, &world->counters));
    ledger_counted(ledger);
    g_assert_false(ledger_should_read_again(ledger, &world->counters));
    world->counters.tx_dropped--;
    ledger_captured(ledger, 0, 200);
    g_assert_true(ledger_should_read_again(ledger, &world->counters));
    world->counters.tx_packets += 100;
    g_assert_false(ledger_should_read_again(ledger, &world->counters));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ledger/late-slot", test_late_slot);
    g_test_add_func("/ledger/index-void", test_index_void);
    g_test_add_func("/ledger/new-index", test_new_index);
    g_test_add_func("/ledger/late-word", test_late_word);
    g_test_add_func("/ledger/late-word-after-new-index",
                    test_late_word_after_new_index);
    g_test_add_func("/ledger/guest-behind", test_guest_behind);
    g_test_add_func("/ledger/filtered-frame", test_filtered_frame);
    g_test_add_func("/ledger/balance", test_balance);
    g_test_add_func("/ledger/read-again", test_read_again);
    return g_test_run();
}
