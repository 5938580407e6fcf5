/* SPDX-License-Identifier: BSD-2-Clause */
#include "ledger-queues-world.h"

unsigned world_chance(World *world, unsigned below)
{
    return (unsigned)g_rand_int_range(world->rand, 0, (gint32)below);
}

World *world_new(guint32 seed)
{
    World *world = g_new0(World, 1);

    world->rand = g_rand_new_with_seed(seed);
    world->n_queues = 2 + world_chance(world, LEDGER_QUEUES_MAX - 1);
    world->counters.tx_packets = world_chance(world, 100000);
    world->counters.tx_dropped = world_chance(world, 1000);
    for (unsigned i = 0; i < world->n_queues; i++) {
        world->used[i] = (uint16_t)world_chance(world, 65536);
    }
    ledger_init(&world->ledger, 0, LENGTH + LEDGER_DESTROYED_MAX);
    ledger_set_multi(&world->ledger);
    return world;
}

void world_free(World *world)
{
    g_rand_free(world->rand);
    g_free(world);
}

void world_send(World *world, unsigned queue)
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

void world_take(World *world, unsigned queue, unsigned n)
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

void world_deliver(World *world, bool lost)
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

LedgerSample world_sample(World *world, bool used_known)
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
        world_send(world, world_chance(world, world->n_queues));
    }
    world_tell(world);
    ledger_sample(&world->ledger, &sample);
    return sample;
}

void world_quiet(World *world, bool used_known)
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

void world_run(World *world, unsigned steps, bool slow, bool used_known)
{
    for (unsigned i = 0; i < steps; i++) {
        world_send(world, world_chance(world, world->n_queues));
        for (unsigned n = slow; n < world->n_queues; n++) {
            world_take(world, n, world_chance(world, 3));
        }
        if (world_chance(world, 2) == 0) {
            world_deliver(world, false);
        }
        if (world_chance(world, 3) == 0) {
            world_sample(world, used_known);
        }
    }
}

LedgerMethod world_stop(World *world, bool used_known)
{
    LedgerMethod method;
    LedgerSample sample = world_sample(world, used_known);

    ledger_stop(&world->ledger, &sample, UINT32_MAX, false, &method);
    g_assert_true(world->ledger.queues_known);
    return method;
}
