/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Late duplicates: where the network floods, its own copy of a frame that comes
 * over the link reaches the TAP at about the same time, perhaps a moment later.
 * So a frame that may have such a copy waits a moment, and those behind it wait
 * with it, to stay in order. In its loop only.
 */
#ifndef TF_SWITCHOVER_LATE_H
#define TF_SWITCHOVER_LATE_H

#include "switchover/flood.h"

typedef struct LateHandlers {
    /* @packet has waited long enough; valid during the call. */
    void (*frame)(void *opaque, const Packet *packet);
    /* After the last frame() of a round. */
    void (*done)(void *opaque);
} LateHandlers;

typedef struct Late Late;

/* @flood is borrowed and outlives it. */
Late *late_new(Flood *flood, const LateHandlers *handlers, void *opaque);
/* Harmless with NULL, as are the others. */
void late_free(Late *late);

/* If frames wait, @packet is queued behind them (copied): true. */
bool late_follow(Late *late, const Packet *packet);
/* If a duplicate of @packet may still come, @packet is queued (copied): true.
 */
bool late_take(Late *late, const Packet *packet);

/* Calls frame() for all that wait. */
void late_flush(Late *late);
/* Discards all that wait. */
void late_clear(Late *late);

/* Frames that wait. */
Counter late_waiting(const Late *late);
uint64_t late_count(const Late *late);

#endif
