/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a destination got over the link, in the order in which it came. When
 * the source's daemon was killed, the next one ships what it finds in the queue
 * of its TAP, and the last one may have shipped some of that, in the same
 * order. So a frame that it found, and whose like came behind that of the one
 * before it, is the same one.
 *
 * What a queue holds of a VM that stands still are the first frames since the
 * stop: so many are remembered, by their digests, and those behind them are
 * not. Without I/O; in its loop only.
 */
#ifndef TF_SWITCHOVER_HAD_H
#define TF_SWITCHOVER_HAD_H

#include <stdbool.h>
#include <stdint.h>

/* More than a TAP's queue holds, in most cases. */
#define HAD_MAX 32768
/* So many frames in a row tell had_in_front() where they are. */
#define HAD_ROW 4

typedef struct Had Had;

Had *had_new(void);
/* Harmless with NULL. */
void had_free(Had *had);

/* Another VM is waited for, or what came is void. */
void had_clear(Had *had);

/* It remembers no more. */
bool had_is_full(const Had *had);

/* A frame of this dedup_digest() came. */
void had_note(Had *had, uint64_t digest);

/* Another source goes on: what came by now, came from others. */
void had_follow(Had *had);

/* It has found a frame of this digest: true if that came from one of the others
 * already, behind the last that this was true of. */
bool had_take(Had *had, uint64_t digest);

/* The last @came frames that came begin with the one that had_in_front() counts
 * from. What is told first is so until had_clear(). */
void had_place(Had *had, uint64_t came);

/* How many frames came from that one on in front of the first that the present
 * source has found? False: that is not known, since the first HAD_ROW that it
 * found have not come in a row, or not just once. */
bool had_in_front(const Had *had, uint64_t *n);

#endif
