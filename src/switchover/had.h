/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The frames that a destination has received from earlier sources, by digest
 * and in order. When the source's daemon was killed, the next one ships what it
 * finds in its TAP's queue, and the last one may have shipped some of that, in
 * the same order. So a frame that was found, and whose digest was received
 * behind that of the frame before it, is the same frame.
 *
 * The queue of a stopped VM's TAP holds the first frames since the stop: so the
 * first HAD_MAX frames are kept, and later ones are not. Without I/O; in its
 * loop only.
 */
#ifndef TF_SWITCHOVER_HAD_H
#define TF_SWITCHOVER_HAD_H

#include <stdbool.h>
#include <stdint.h>

/* More than a TAP's queue holds, in most cases. */
#define HAD_MAX 32768
/* How many frames in a row had_in_front() compares. */
#define HAD_ROW 4
#define HAD_QUEUES_MAX 8

typedef struct Had Had;

Had *had_new(void);
/* Harmless with NULL. */
void had_free(Had *had);

/* Forgets all frames. */
void had_clear(Had *had);

/* Further frames are not kept. */
bool had_is_full(const Had *had);

/* Appends a frame of this dedup_digest(). */
void had_note(Had *had, uint64_t digest);

/* A new source begins: the frames up to now are from earlier ones. */
void had_follow(Had *had);

/* The new source has found a frame of this digest. True if an earlier one has
 * shipped it, behind the last frame for which this was true. */
bool had_take(Had *had, uint64_t digest);

/* The next @n frames that the source has found are the rest of one queue of its
 * TAP; those of another queue follow, in an order of their own. May be called
 * again; queues beyond HAD_QUEUES_MAX are ignored. */
void had_end_queue(Had *had, uint64_t n);

/* had_in_front() counts from the first of the last @came frames on. Only the
 * first call since had_clear() counts. */
void had_place(Had *had, uint64_t came);

/* Sets *@n to how many frames came from there on before the first one that the
 * present source has found. False: not known, as the first HAD_ROW frames that
 * it found were not received in a row, or more than once. */
bool had_in_front(const Had *had, uint64_t *n);

#endif
