/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The digests of the frames that recently reached the source's TAP while the VM
 * ran: for the destination, whose TAP may hold copies of them, delivered there
 * by flooding. A ring of the last DELIVERED_MAX frames of the last
 * DELIVERED_WINDOW_US microseconds, without I/O. In its loop only.
 */
#ifndef TF_SWITCHOVER_DELIVERED_H
#define TF_SWITCHOVER_DELIVERED_H

#include "packet/packet.h"
#include "wire/link-delivered.h"

#define DELIVERED_MAX 8192
#define DELIVERED_WINDOW_US 10000000

typedef struct Delivered Delivered;

Delivered *delivered_new(void);
/* Harmless with NULL. */
void delivered_free(Delivered *delivered);

/* Empties it; the VM runs, and frame @number is the next. */
void delivered_begin(Delivered *delivered, uint64_t number, int64_t now_us);

/* Frame @number was captured at @now_us (any clock that does not jump). */
void delivered_add(Delivered *delivered, uint64_t number, const Packet *packet,
                   int64_t now_us);

/* How far back it is complete, in microseconds. */
uint64_t delivered_memory_us(const Delivered *delivered, int64_t now_us);

/* Removes frame @number: the VM stopped before it received it. */
void delivered_forget(Delivered *delivered, uint64_t number);

/* Writes the digests to @digests (DELIVERED_MAX), oldest first; returns how
 * many. */
unsigned delivered_list(const Delivered *delivered, int64_t now_us,
                        LinkDigest *digests);

#endif
