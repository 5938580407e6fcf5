/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How fast frames may be injected into a TAP; a state machine without I/O.
 *
 * Up to a quarter of the TAP's queue is filled by us: enough to keep a guest
 * busy between two looks, and what the network itself delivers at the same
 * time finds room in the rest, even if the guest is slow for a moment. What
 * waits goes in as a whole once it fits into half of the queue: as long as
 * anything waits, what the network delivers overtakes it. A queue that was
 * made longer for us (raise.h) is ours but for its usual length.
 */
#ifndef TF_NETDEV_PACE_H
#define TF_NETDEV_PACE_H

#include "netdev/meter.h"

typedef struct Pace {
    Meter meter;    /* fed with meter_enter() for every frame into the TAP */
    uint64_t left;  /* tx_packets + tx_dropped at the last look */
    uint64_t limit; /* what we may fill, as of that look; 0: none yet */
    uint64_t retry_us;
} Pace;

/* A TAP's queue: its @length in frames, @extra of which were made for us. */
typedef struct PaceQueue {
    uint32_t length;
    uint32_t extra;
} PaceQueue;

void pace_init(Pace *pace);

/* Takes a sample (see meter_sample()) of a TAP; returns how many of @waiting
 * frames may go in now. */
uint64_t pace_room(Pace *pace, const LinkCounters *counters, PaceQueue queue,
                   uint64_t waiting);

/* Up to how many entries a queue may be filled that holds @content frames while
 * @waiting more are to go in. */
static inline uint64_t pace_limit(uint64_t content, PaceQueue queue,
                                  uint64_t waiting)
{
    if (queue.extra > 0) {
        return queue.extra;
    }
    return content + waiting <= queue.length / 2 ? queue.length / 2
                                                 : MAX(queue.length / 4, 1);
}

/* The same rule for who knows the queue's content: how many frames may go in.
 */
static inline uint64_t pace_share(uint64_t content, PaceQueue queue,
                                  uint64_t waiting)
{
    uint64_t limit = pace_limit(content, queue, waiting);

    return content < limit ? limit - content : 0;
}

/* When to look again if there was no room, in microseconds: soon while the
 * guest takes frames, before it has taken all that was ours; seldom while it
 * takes none. */
uint64_t pace_retry_us(const Pace *pace);

#endif
