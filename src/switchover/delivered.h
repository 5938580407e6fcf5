/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a source remembers of the frames that reached its TAP while the VM ran:
 * their digests, for the other end, whose TAP may hold copies of them that
 * flooding brought there. A ring without I/O: the last DELIVERED_MAX, of the
 * last DELIVERED_WINDOW_US. In its loop only.
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

/* Remembers from frame @number on, the VM running. */
void delivered_begin(Delivered *delivered, uint64_t number, int64_t now_us);

/* Frame @number was captured at @now_us (any clock that does not jump). */
void delivered_add(Delivered *delivered, uint64_t number, const Packet *packet,
                   int64_t now_us);

/* How far its memory reaches back, in microseconds. */
uint64_t delivered_memory_us(const Delivered *delivered, int64_t now_us);

/* The VM stopped, and did not get frame @number. */
void delivered_forget(Delivered *delivered, uint64_t number);

/* Writes the others to @digests (DELIVERED_MAX), oldest first; returns how
 * many. */
unsigned delivered_list(const Delivered *delivered, int64_t now_us,
                        LinkDigest *digests);

#endif
