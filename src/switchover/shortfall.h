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
 */
#ifndef TF_SWITCHOVER_SHORTFALL_H
#define TF_SWITCHOVER_SHORTFALL_H

#include <stdbool.h>
#include <stdint.h>

/* What a source tells that has found frames in its TAP's queue. */
typedef struct ShortfallFound {
    uint64_t place; /* of the first frame behind them */
    uint64_t again; /* by so many the TAP's count grew when they were taken out
                       and put back */
    uint64_t cut;   /* so many more came than were found, where a link without
                       virtio-net headers has cut super-frames up */
} ShortfallFound;

typedef struct Shortfall {
    bool known;      /* the place is */
    bool follows;    /* another source goes on, and has not told where */
    bool told;       /* one did, so that @missing is known */
    uint64_t place;  /* all frames before it came, or count as missing */
    uint64_t came;   /* frames from there on, each once */
    uint64_t before; /* ... when another source went on */
    uint64_t missing;
} Shortfall;

/* Another VM is waited for, or what came is void. What is missing stays. */
void shortfall_clear(Shortfall *self);

/* A frame came that had not come before. */
static inline void shortfall_came(Shortfall *self)
{
    self->came++;
}

/* By its source's word frame @place was the first of the last @came. Ignored
 * from a source that follows another one and has not told what it found. */
void shortfall_begin(Shortfall *self, uint64_t place, uint64_t came);

/* Another source goes on. */
void shortfall_follow(Shortfall *self);

/* All that it found has come. True if it is known now how many are missing. */
bool shortfall_found(Shortfall *self, const ShortfallFound *found);

#endif
