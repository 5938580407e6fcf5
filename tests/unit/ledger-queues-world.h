/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A simulated TAP with several queues, each first in, first out and of bounded
 * length, whose counters are for all of them together, and a ledger that takes
 * samples of it. (With one queue: ledger-world.h.)
 */
#ifndef TF_TESTS_LEDGER_QUEUES_WORLD_H
#define TF_TESTS_LEDGER_QUEUES_WORLD_H

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

/* One with 2 to 8 queues, whose counters and indices begin anywhere; all chance
 * in it is of @seed. */
World *world_new(guint32 seed);
void world_free(World *world);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(World, world_free)

/* A number from 0 to @below - 1. */
unsigned world_chance(World *world, unsigned below);

/* The host sends a frame into the TAP, which puts it into @queue. */
void world_send(World *world, unsigned queue);

/* The VMM takes up to @n frames out of @queue. */
void world_take(World *world, unsigned queue, unsigned n);

/* The guest gets what the VMM took; or, if @lost, never will. */
void world_deliver(World *world, bool lost);

/* Tells the ledger what was captured since, and takes a sample of what can be
 * read now: the used indices only if @used_known. */
LedgerSample world_sample(World *world, bool used_known);

/* @steps frames, each into some queue; with @slow nobody reads the first. */
void world_run(World *world, unsigned steps, bool slow, bool used_known);

/* Everything is taken and delivered: the moment that calibrates. */
void world_quiet(World *world, bool used_known);

/* The VM stops: returns how the ledger knows what its guest lacks. */
LedgerMethod world_stop(World *world, bool used_known);

#endif
