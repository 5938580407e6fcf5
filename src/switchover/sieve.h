/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What was drained from a destination's TAP before its VM ran, and which of it
 * the guest has had at the source. A state machine without I/O, fed with frames
 * and with the source's word (wire/link-delivered.h).
 *
 * A copy is told by its digest. A frame to a group always reaches both hosts;
 * one to the guest alone may be another one that looks the same, so there the
 * copies must be of about the same time, too. In its loop only.
 */
#ifndef TF_SWITCHOVER_SIEVE_H
#define TF_SWITCHOVER_SIEVE_H

#include "packet/packet.h"
#include "wire/link-delivered.h"

/* How far apart in time two copies of a unicast frame are, at most, the time
 * that the word takes included. */
#define SIEVE_APART_US 1000000

/* What a frame is known by to both ends: dedup_digest(), but for its lowest
 * bit, which tells a frame to a group. @scratch holds PACKET_MAX_LEN bytes. */
uint64_t sieve_digest(const Packet *packet, uint8_t *scratch);

typedef struct Sieve Sieve;

/* What it keeps takes @limit bytes, and is DEDUP_MAX frames, at most: beyond
 * that the oldest are taken for some that the guest has had. */
Sieve *sieve_new(uint64_t limit);
/* Harmless with NULL. */
void sieve_free(Sieve *sieve);

/* The TAP's queues. */
#define SIEVE_QUEUES_MAX 256

/* @packet was taken out of @packet->queue of the TAP, where the network had
 * brought it at @came_us (a clock that does not jump), or no later than then;
 * copied. Those of a queue are in order, whatever that says. */
void sieve_add(Sieve *sieve, const Packet *packet, int64_t came_us);

/* A body of the source's word came. True if that completes it: then
 * sieve_compare() tells what of all that has been added up to @now_us the guest
 * has had. */
bool sieve_hear(Sieve *sieve, LinkDelivered *word);
void sieve_compare(Sieve *sieve, int64_t now_us);

/* The guest has had all of it. */
void sieve_clear(Sieve *sieve);

typedef void SieveFunc(void *opaque, const Packet *packet);

/* Hands out what the guest has not had, oldest first; with @groups off but for
 * frames to groups, which stay. The bytes do until sieve_trim(). Those that
 * were handed out before, and added again, are older than those that were not.
 */
void sieve_take(Sieve *sieve, bool groups, SieveFunc *func, void *opaque);
void sieve_trim(Sieve *sieve);

/* Frames that the guest has had, so far. */
Counter sieve_stale(const Sieve *sieve);

/* Frames that may have to be put back. */
Counter sieve_waiting(const Sieve *sieve);

#endif
