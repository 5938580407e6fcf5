/* SPDX-License-Identifier: BSD-2-Clause */
#include "ledger-world.h"

unsigned world_chance(World *world, unsigned below)
{
    return (unsigned)g_rand_int_range(world->rand, 0, (gint32)below);
}

World *world_new(guint32 seed, unsigned capacity, unsigned foreign)
{
    World *world = g_new0(World, 1);

    world->capacity = capacity;
    world->foreign = foreign;
    world->rand = g_rand_new_with_seed(seed);
    world->counters.tx_packets = world_chance(world, 100000);
    world->counters.tx_dropped = world_chance(world, 1000);
    world->used = (uint16_t)world_chance(world, 65536);
    ledger_init(&world->ledger, 0, capacity);
    return world;
}

void world_free(World *world)
{
    g_rand_free(world->rand);
    g_free(world);
}

uint64_t world_queue_len(const World *world)
{
    return world->queue_tail - world->queue_head + world->foreign;
}

void world_send(World *world)
{
    uint64_t number = world->entered++;

    world->unseen++;
    if (world_queue_len(world) >= world->capacity) {
        world->fate[number] = FATE_DROPPED;
        world->counters.tx_dropped++;
    } else {
        world->fate[number] = FATE_QUEUED;
        world->queue[world->queue_tail++] = number;
    }
}

void world_take(World *world)
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

void world_deliver(World *world)
{
    for (unsigned i = 0; i < world->n_taken; i++) {
        world->fate[world->taken[i]] = FATE_DELIVERED;
        world->used++;
    }
    world->n_taken = 0;
}

LedgerSample world_sample(World *world, bool used_known, bool stable)
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

uint64_t world_truth(const World *world)
{
    uint64_t number = 0;

    while (number < world->entered && (world->fate[number] == FATE_DELIVERED ||
                                       world->fate[number] == FATE_DROPPED)) {
        number++;
    }
    return number;
}

void world_run(World *world, unsigned steps, bool slow, bool used_known)
{
    for (unsigned i = 0; i < steps; i++) {
        switch (world_chance(world, 4)) {
        case 0:
            for (unsigned n = 1 + world_chance(world, slow ? 12 : 4); n > 0;
                 n--) {
                world_send(world);
            }
            break;
        case 1:
            for (unsigned n = 1 + world_chance(world, slow ? 4 : 12); n > 0;
                 n--) {
                world_take(world);
            }
            world_deliver(world);
            break;
        case 2:
            world_take(world);
            if (world_chance(world, 8)) {
                world_deliver(world);
            }
            break;
        default:
            world_sample(world, used_known, true);
            break;
        }
    }
}

void world_quiet(World *world, bool used_known)
{
    while (world_queue_len(world) > 0) {
        world_take(world);
    }
    world_deliver(world);
    do {
        world_sample(world, used_known, true);
        world->time_us += 200000; /* nothing moves for a while */
    } while (ledger_wants_sample(&world->ledger, used_known));
    world_sample(world, used_known, true);
}
