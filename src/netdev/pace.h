/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How fast frames may be injected into a TAP; a state machine without I/O.
 *
 * Up to a quarter of the TAP's queue is filled by us: enough to keep a guest
 * busy between two looks, and what the network itself delivers at the same
 * time finds room in the rest, even if the guest is slow for a moment.
 */
#ifndef TF_NETDEV_PACE_H
#define TF_NETDEV_PACE_H

#include "netdev/meter.h"

typedef struct Pace {
    Meter meter;   /* fed with meter_enter() for every frame into the TAP */
    uint64_t left; /* tx_packets + tx_dropped at the last look */
    uint64_t retry_us;
} Pace;

void pace_init(Pace *pace);

/* Takes a sample (see meter_sample()) of a TAP whose queue holds @length
 * frames; returns how many more may go in now. */
uint64_t pace_room(Pace *pace, const LinkCounters *counters, uint32_t length);

/* The same rule for who knows the queue's content: how many frames may go into
 * a queue of @length that holds @content. */
static inline uint64_t pace_share(uint64_t content, uint32_t length)
{
    uint64_t limit = MAX(length / 4, 1);

    return content < limit ? limit - content : 0;
}

/* When to look again if there was no room, in microseconds: soon while the
 * guest takes frames, seldom while it does not. */
uint64_t pace_retry_us(const Pace *pace);

#endif
