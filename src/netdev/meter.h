/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Estimates how many frames are in a TAP's queue, from counters outside it; a
 * state machine without I/O.
 *
 *   entered   frames that were sent into the TAP, seen before they enter its
 *             queue (a capture) or put there by us (an injection)
 *   left      tx_packets + tx_dropped: frames taken out by the VMM, and those
 *             that found the queue full
 *
 * entered - left is the queue's content, but for a constant: what had been
 * counted, or lay in the queue, before we began. The queue can't hold less
 * than nothing, so the constant is at least what makes the content 0 at the
 * emptiest moment seen; a running guest empties its queue all the time, so a
 * few samples find it.
 */
#ifndef TF_NETDEV_METER_H
#define TF_NETDEV_METER_H

#include "netdev/link.h"

typedef struct Meter {
    uint64_t entered;
    uint64_t base; /* left - entered when the queue was empty */
    bool primed;   /* there was a sample */
    /* Samples in a row in which more had left than entered, and the least
     * that it was. */
    unsigned excess_samples;
    uint64_t excess;
} Meter;

/* So many such samples in a row are believed. A ring's slots are read in the
 * order in which they were allocated: one that another processor is still
 * writing delays those behind it, which may have left the queue already. That
 * lasts microseconds. */
#define METER_EXCESS_SAMPLES 3

static inline void meter_enter(Meter *meter, uint64_t n)
{
    meter->entered += n;
}

/* @n frames found the queue full that were not counted as entered. */
static inline void meter_refused(Meter *meter, uint64_t n)
{
    meter->base += n;
}

/* @n frames of the queue were destroyed, and nothing has counted them. */
static inline void meter_destroyed(Meter *meter, uint64_t n)
{
    meter->base -= n;
}

/* Resets the constant: the counters are those of another interface. */
static inline void meter_reset(Meter *meter)
{
    meter->primed = false;
}

/* True if the constant is in doubt: more samples will tell. */
static inline bool meter_is_in_doubt(const Meter *meter)
{
    return meter->excess_samples > 0;
}

/*
 * Takes a sample and returns the queue's content. The counters must have been
 * read no later than the last frame was entered: what is counted as left must
 * have been seen to enter. More than that, sample after sample, is what lay in
 * the queue before, or what somebody else has put there unseen.
 */
static inline uint64_t meter_sample(Meter *meter, const LinkCounters *counters)
{
    uint64_t left = counters->tx_packets + counters->tx_dropped;
    uint64_t seen = meter->entered + meter->base;

    if (!meter->primed) {
        meter->base = left - meter->entered;
        meter->primed = true;
        meter->excess_samples = 0;
        return 0;
    }
    if (left <= seen) {
        meter->excess_samples = 0;
        return seen - left;
    }
    meter->excess = meter->excess_samples++ > 0
                        ? MIN(meter->excess, left - seen)
                        : left - seen;
    if (meter->excess_samples == METER_EXCESS_SAMPLES) {
        meter->base += meter->excess;
        /* What is more than the least begins a row of its own. */
        meter->excess = left - seen - meter->excess;
        meter->excess_samples = meter->excess > 0;
    }
    return 0;
}

#endif
