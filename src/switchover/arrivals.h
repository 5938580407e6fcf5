/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What comes over the link, on its way to the injector: copies of what the
 * network has delivered, or another source has shipped before, are left out;
 * frames whose copy may still come wait for it; and it is known how much of all
 * that is settled. In its loop only.
 */
#ifndef TF_SWITCHOVER_ARRIVALS_H
#define TF_SWITCHOVER_ARRIVALS_H

#include "netdev/injector.h"
#include "switchover/flood.h"

typedef struct ArrivalsConfig {
    Flood *flood; /* or NULL: what the network delivers is not left out */
    Injector *injector;
    Counter *duplicate; /* counts what is left out */
    /* Frames that had waited for a copy are with the injector, or were left
     * out. */
    void (*moved)(void *opaque);
    void *opaque;
} ArrivalsConfig;

typedef struct Arrivals Arrivals;

/* All that @config names is borrowed and outlives it. */
Arrivals *arrivals_new(const ArrivalsConfig *config);
void arrivals_free(Arrivals *arrivals);

/* Another source goes on in the place of the last one. */
void arrivals_follow(Arrivals *arrivals);
/* Another VM is waited for, or what came is void: no source has shipped any. */
void arrivals_forget(Arrivals *arrivals);

/* See had_place() and had_in_front(). */
void arrivals_place(Arrivals *arrivals, uint64_t came);
bool arrivals_in_front(const Arrivals *arrivals, uint64_t *n);

/* A frame came; its bytes are to stay until arrivals_run(), which is called
 * behind the last of a batch. @found: in the queue of the source's TAP, so that
 * an earlier source may have shipped it. False if one has. */
bool arrivals_take(Arrivals *arrivals, const Packet *packet, bool found);
void arrivals_run(Arrivals *arrivals);

/* @record, the oldest in the injector, is about to leave it. */
void arrivals_left(Arrivals *arrivals, const PacketRecord *record);

/* What waits for a copy goes to the injector. */
void arrivals_flush(Arrivals *arrivals);
/* Throws away all that waits, in the injector, too. */
void arrivals_clear(Arrivals *arrivals);

/* What waits, here and in the injector. */
Counter arrivals_waiting(const Arrivals *arrivals);

/* How many frames came since the oldest that waits, that included: copies that
 * came behind it have found their place before it. */
uint64_t arrivals_unsettled(const Arrivals *arrivals);

#endif
