/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The frames that arrive over the link, on their way to the injector:
 * duplicates of what the network has delivered, or an earlier source has
 * shipped, are discarded; frames whose duplicate may still come from the
 * network wait a moment for it; and it is known how many are settled. In its
 * loop only.
 */
#ifndef TF_SWITCHOVER_ARRIVALS_H
#define TF_SWITCHOVER_ARRIVALS_H

#include "netdev/injector.h"
#include "switchover/flood.h"

typedef struct ArrivalsConfig {
    Flood *flood; /* NULL: duplicates of the network's are not discarded */
    Injector *injector;
    Counter *duplicate; /* counts what is discarded */
    /* Frames that had waited for a duplicate have gone to the injector, or were
     * discarded. */
    void (*moved)(void *opaque);
    void *opaque;
} ArrivalsConfig;

typedef struct Arrivals Arrivals;

/* All that @config names is borrowed and outlives it. */
Arrivals *arrivals_new(const ArrivalsConfig *config);
void arrivals_free(Arrivals *arrivals);

/* A new source replaces the last one. */
void arrivals_follow(Arrivals *arrivals);
/* Forgets what sources have shipped: it is void, or was for another VM. */
void arrivals_forget(Arrivals *arrivals);

/* See had_end_queue(), had_place() and had_in_front(). */
void arrivals_end_queue(Arrivals *arrivals, uint64_t n);
void arrivals_place(Arrivals *arrivals, uint64_t came);
bool arrivals_in_front(const Arrivals *arrivals, uint64_t *n);

/* A frame arrived; its bytes have to stay valid until arrivals_run(), which is
 * called after the last of a batch. @found: the source found it in its TAP's
 * queue, so that an earlier source may have shipped it; false if one has. */
bool arrivals_take(Arrivals *arrivals, const Packet *packet, bool found);
void arrivals_run(Arrivals *arrivals);

/* @record, the oldest in the injector, is about to leave it. */
void arrivals_left(Arrivals *arrivals, const PacketRecord *record);

/* Frames that wait for a duplicate go to the injector now. */
void arrivals_flush(Arrivals *arrivals);
/* Discards all that waits, also in the injector. */
void arrivals_clear(Arrivals *arrivals);

/* Frames that wait, here and in the injector. */
Counter arrivals_waiting(const Arrivals *arrivals);

/* How many frames arrived since the oldest that waits, including that one and
 * duplicates that were discarded meanwhile. */
uint64_t arrivals_unsettled(const Arrivals *arrivals);

#endif
