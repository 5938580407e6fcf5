/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How many frames were lost with a source's daemon that was killed, when
 * another one has followed it? A state machine without I/O, of the destination;
 * in its loop only.
 *
 * The *place* of a frame is the number of frames that the source's TAP had
 * counted (tx_packets, tx_dropped) or held when the frame arrived there. The
 * first source tells the place of the first frame that it ships, and the next
 * one that of the first frame that it has captured. The frames between these
 * two have been received over the link, or are missing.
 *
 * If the queue was full at the stop, vhost may have destroyed frames of it that
 * the TAP counts nowhere. They are among those received in front of the first
 * one that the next source has found in the queue: the ones that the VMM has
 * not taken out.
 */
#ifndef TF_SWITCHOVER_SHORTFALL_H
#define TF_SWITCHOVER_SHORTFALL_H

#include <stdbool.h>
#include <stdint.h>

/* What a source tells of the first frame that it ships (LINK_PLACE). */
typedef struct ShortfallPlace {
    uint64_t place;
    uint64_t taken; /* tx_packets when it was the next to be taken */
    bool full;      /* the queue was, at the stop */
    bool cut;       /* frames since then were sent as segments */
} ShortfallPlace;

/* What a source tells of the frames that it found in its TAP's queue
 * (LINK_FOUND), and how they relate to those received before. */
typedef struct ShortfallFound {
    uint64_t place; /* of the first frame behind them */
    uint64_t taken; /* tx_packets when the first of them was the next to be
                       taken */
    uint64_t again; /* growth of the TAP's counters by draining and injecting
                       them */
    uint64_t front; /* frames received from the first one with a place on, in
                       front of the first of them; valid if @aligned */
    bool aligned;
} ShortfallFound;

typedef struct Shortfall {
    bool known;   /* @from is */
    bool follows; /* a new source has not told yet what it found */
    bool told;    /* one has: @missing is known */
    /* All frames before it were received, or are in @missing. */
    ShortfallPlace from;
    uint64_t came;   /* frames received from there on, each once */
    uint64_t pieces; /* so many of the next ones are segments of one */
    uint64_t missing;
} Shortfall;

/* Forgets what was received: it is void, or was for another VM. @missing
 * stays. */
void shortfall_clear(Shortfall *self);

/* The next @n frames of the link are segments of one frame (LINK_PIECES). */
void shortfall_pieces(Shortfall *self, uint64_t n);

/* A frame was received; @new: not one that an earlier source has shipped. */
static inline void shortfall_came(Shortfall *self, bool new)
{
    if (self->pieces > 1) {
        self->pieces--;
    } else {
        self->pieces = 0;
        self->came += new;
    }
}

/* The source tells that the last @came frames received begin with the one at
 * @place. Ignored from a source that has not told yet what it found. */
void shortfall_begin(Shortfall *self, const ShortfallPlace *place,
                     uint64_t came);

/* A new source replaces the last one. */
void shortfall_follow(Shortfall *self);

/* All frames that it found have been received. True if that makes known how
 * many are missing. */
bool shortfall_found(Shortfall *self, const ShortfallFound *found);

#endif
