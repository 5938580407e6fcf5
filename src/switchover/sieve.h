/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames that were drained from a destination's TAP before its VM ran, less
 * those that the guest has received at the source. A state machine without I/O,
 * fed with the frames and with LINK_DELIVERED from the source
 * (wire/link-delivered.h).
 *
 * Copies have equal digests. A multicast or broadcast frame reaches both hosts;
 * a unicast frame may be another one that is equal, so there the two must be of
 * about the same time, too. In its loop only.
 */
#ifndef TF_SWITCHOVER_SIEVE_H
#define TF_SWITCHOVER_SIEVE_H

#include "packet/packet.h"
#include "wire/link-delivered.h"

/* Greatest difference in time of two copies of a unicast frame, including the
 * delay of LINK_DELIVERED. */
#define SIEVE_APART_US 1000000

/* The digest of a frame on the wire: dedup_digest() with its lowest bit set for
 * multicast and broadcast, and cleared for unicast. @scratch holds
 * PACKET_MAX_LEN bytes. */
uint64_t sieve_digest(const Packet *packet, uint8_t *scratch);

typedef struct Sieve Sieve;

/* Keeps at most @limit bytes and DEDUP_MAX frames: beyond that, the oldest
 * count as received by the guest. */
Sieve *sieve_new(uint64_t limit);
/* Harmless with NULL. */
void sieve_free(Sieve *sieve);

/* The TAP's queues. */
#define SIEVE_QUEUES_MAX 256

/* Adds a copy of @packet, drained from @packet->queue of the TAP, where the
 * network had delivered it at @came_us (a clock that does not jump) or before.
 * Frames of one queue are added in order, whatever their times. */
void sieve_add(Sieve *sieve, const Packet *packet, int64_t came_us);

/* A body of LINK_DELIVERED came. True if that completes the list: then
 * sieve_compare() is to be called. */
bool sieve_hear(Sieve *sieve, LinkDelivered *word);
/* Removes those of all frames added up to @now_us that the guest has received
 * by the list. */
void sieve_compare(Sieve *sieve, int64_t now_us);

/* Removes all: the guest has received them. */
void sieve_clear(Sieve *sieve);

typedef void SieveFunc(void *opaque, const Packet *packet);

/* Passes what the guest has not received to @func, oldest first; without
 * @groups multicast and broadcast frames stay. The bytes are valid until
 * sieve_trim(). Frames that were passed before, and added again, count as older
 * than others.
 */
void sieve_take(Sieve *sieve, bool groups, SieveFunc *func, void *opaque);
void sieve_trim(Sieve *sieve);

/* Frames that the guest has received, so far. */
Counter sieve_stale(const Sieve *sieve);

/* Frames that it has not, or for which that is not known yet. */
Counter sieve_waiting(const Sieve *sieve);

#endif
