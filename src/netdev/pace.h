/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How fast frames may be injected into a TAP; a state machine without I/O.
 *
 * We fill up to a quarter of the TAP's queue: enough to keep the guest busy
 * between two samples, and the rest is room for what the network delivers at
 * the same time, even if the guest is slow for a moment. Once all that waits
 * fits into half of the queue, it goes in as a whole: as long as anything
 * waits, what the network delivers overtakes it. Of a queue that was raised
 * (raise.h) we use the additional entries.
 */
#ifndef TF_NETDEV_PACE_H
#define TF_NETDEV_PACE_H

#include "netdev/meter.h"

typedef struct Pace {
    Meter meter;    /* fed with meter_enter() for every frame into the TAP */
    uint64_t left;  /* tx_packets + tx_dropped at the last sample */
    uint64_t limit; /* up to which we may fill, by that sample; 0: none yet */
    uint64_t retry_us;
} Pace;

/* A TAP's queue: its @length in frames, @extra of them added by raise.h. */
typedef struct PaceQueue {
    uint32_t length;
    uint32_t extra;
} PaceQueue;

void pace_init(Pace *pace);

/* Takes a sample (see meter_sample()) of a TAP; returns how many of @waiting
 * frames may go in now. */
uint64_t pace_room(Pace *pace, const LinkCounters *counters, PaceQueue queue,
                   uint64_t waiting);

/* Up to how many entries the queue may be filled, with @content frames in it
 * and
 * @waiting more to go in. */
static inline uint64_t pace_limit(uint64_t content, PaceQueue queue,
                                  uint64_t waiting)
{
    if (queue.extra > 0) {
        return queue.extra;
    }
    return content + waiting <= queue.length / 2 ? queue.length / 2
                                                 : MAX(queue.length / 4, 1);
}

/* How many frames may go in, for a caller that knows the queue's content. */
static inline uint64_t pace_share(uint64_t content, PaceQueue queue,
                                  uint64_t waiting)
{
    uint64_t limit = pace_limit(content, queue, waiting);

    return content < limit ? limit - content : 0;
}

/* When to take the next sample if there was no room, in microseconds: while the
 * guest takes frames, before it has taken all of ours; seldom while it takes
 * none. */
uint64_t pace_retry_us(const Pace *pace);

#endif
