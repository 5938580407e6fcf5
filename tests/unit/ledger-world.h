/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A simulated TAP whose every frame's fate is known: a queue of bounded length,
 * a VMM that takes frames out of it and a guest that gets them a little later,
 * and a ledger that takes samples of it.
 */
#ifndef TF_TESTS_LEDGER_WORLD_H
#define TF_TESTS_LEDGER_WORLD_H

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

/* One with a queue of @capacity, in which there are @foreign frames that came
 * before the capture began; all chance in it is of @seed. */
World *world_new(guint32 seed, unsigned capacity, unsigned foreign);
void world_free(World *world);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(World, world_free)

/* A number from 0 to @below - 1. */
unsigned world_chance(World *world, unsigned below);

uint64_t world_queue_len(const World *world);

/* The host sends a frame into the TAP. */
void world_send(World *world);

/* The VMM takes a frame out of the queue. */
void world_take(World *world);

/* The guest gets what the VMM took. */
void world_deliver(World *world);

/* Tells the ledger what was captured since, and takes a sample of what can be
 * read now: the used index only if @used_known, and at rest if @stable. */
LedgerSample world_sample(World *world, bool used_known, bool stable);

/* Number of the first frame that the guest can still get and did not. */
uint64_t world_truth(const World *world);

/* Some traffic; @slow: the VMM takes less than comes. */
void world_run(World *world, unsigned steps, bool slow, bool used_known);

/* Everything is taken and delivered: the moment that calibrates. */
void world_quiet(World *world, bool used_known);

#endif
