/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the network floods, its own copy of a frame that comes over the link
 * reaches the TAP at about the same time, and may do so a moment later. So a
 * frame that may have such a copy waits for a moment, and those that come
 * behind it with it: they stay in order. In its loop only.
 */
#ifndef TF_SWITCHOVER_LATE_H
#define TF_SWITCHOVER_LATE_H

#include "switchover/flood.h"

typedef struct LateHandlers {
    /* @packet has waited; valid during the call. */
    void (*frame)(void *opaque, const Packet *packet);
    /* Those whose time it was are through. */
    void (*done)(void *opaque);
} LateHandlers;

typedef struct Late Late;

/* @flood is borrowed and outlives it. */
Late *late_new(Flood *flood, const LateHandlers *handlers, void *opaque);
/* Harmless with NULL, as are the others. */
void late_free(Late *late);

/* True if some wait, and @packet waits behind them; it is copied. */
bool late_follow(Late *late, const Packet *packet);
/* True if @packet, whose copy has not come yet, waits. False if it can go on.
 */
bool late_take(Late *late, const Packet *packet);

/* All that waits goes on. */
void late_flush(Late *late);
/* Or is thrown away. */
void late_clear(Late *late);

/* What waits; and how many frames that is. */
Counter late_waiting(const Late *late);
uint64_t late_count(const Late *late);

#endif
