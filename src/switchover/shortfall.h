/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How many frames are missing between two sources of which the second followed
 * the first without a word from that? A state machine without I/O, of the
 * destination; in its loop only.
 *
 * A frame's *place* is how many the source's TAP had counted (tx_packets,
 * tx_dropped) or held when it came. The first source tells the place of the
 * first frame that it ships, and the next one the place of the first that it
 * has captured itself; what came between these, came over the link, or is
 * missing.
 *
 * If the queue was full at the stop, vhost has destroyed some frames, and the
 * TAP has counted them nowhere: of those that came over the link in front of
 * the first that the next source has found, the ones that the VMM did not take.
 */
#ifndef TF_SWITCHOVER_SHORTFALL_H
#define TF_SWITCHOVER_SHORTFALL_H

#include <stdbool.h>
#include <stdint.h>

/* What a source tells of the first frame that it ships. */
typedef struct ShortfallPlace {
    uint64_t place; /* of it */
    uint64_t taken; /* tx_packets when the VMM took it, or was to take it next
                     */
    bool full;      /* the queue was: some from it on may be destroyed */
    bool cut;       /* the link has cut some up that came since */
} ShortfallPlace;

/* What a source tells that has found frames in its TAP's queue. */
typedef struct ShortfallFound {
    uint64_t place; /* of the first frame behind them */
    uint64_t taken; /* tx_packets when the first of them was the next */
    bool aligned;   /* it is known that */
    uint64_t front; /* so many came over the link, from the first frame with a
                       place on, in front of the first of them */
    uint64_t again; /* by so many the TAP's count grew when they were taken out
                       and put back */
} ShortfallFound;

typedef struct Shortfall {
    bool known;   /* the place is */
    bool follows; /* another source goes on, and has not told where */
    bool told;    /* one did, so that @missing is known */
    /* All frames before it came, or count as missing. */
    ShortfallPlace from;
    uint64_t came;   /* frames from there on, each once */
    uint64_t pieces; /* so many of those to come are one */
    uint64_t missing;
} Shortfall;

/* Another VM is waited for, or what came is void. What is missing stays. */
void shortfall_clear(Shortfall *self);

/* The next @n frames of the link are one of the source's. */
void shortfall_pieces(Shortfall *self, uint64_t n);

/* A frame came over the link; @new: neither it nor its like had come before. */
static inline void shortfall_came(Shortfall *self, bool new)
{
    if (self->pieces > 1) {
        self->pieces--;
    } else {
        self->pieces = 0;
        self->came += new;
    }
}

/* By its source's word the frame of @place was the first of the last @came.
 * Ignored from a source that follows another one and has not told what it
 * found. */
void shortfall_begin(Shortfall *self, const ShortfallPlace *place,
                     uint64_t came);

/* Another source goes on. */
void shortfall_follow(Shortfall *self);

/* All that it found has come. True if it is known now how many are missing. */
bool shortfall_found(Shortfall *self, const ShortfallFound *found);

#endif
