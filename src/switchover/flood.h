/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sees what the network delivers to a TAP by itself, and tells which of the
 * frames that come over the link the guest has, or will have, from there.
 * Flooding reaches both hosts.
 *
 * Counts as delivered what entered the TAP's queue (not what found it full),
 * less what the VMM took while the VM stood still: an incoming QEMU reads a
 * frame, and the guest never gets it. In its loop only.
 */
#ifndef TF_SWITCHOVER_FLOOD_H
#define TF_SWITCHOVER_FLOOD_H

#include "netdev/tap.h"
#include "switchover/dedup.h"

typedef struct Flood Flood;

/* Somebody else who wants to see what the network delivers. */
typedef void FloodFunc(void *opaque, const PacketBatch *batch);

/* With @pieces super-frames come over the link as the frames they stand for. */
Flood *flood_new(Tap *tap, bool pieces);
/* Harmless with NULL, as are the others. */
void flood_free(Flood *flood);

void flood_listen(Flood *flood, FloodFunc *func, void *opaque);

/* Switched off, it costs nothing and knows nothing. */
void flood_set_on(Flood *flood, bool on);

/* Does the VM run, so that what the VMM takes reaches the guest? */
void flood_set_running(Flood *flood, bool running);

/* Until it does, the VMM takes @frames more at most: if it takes any beyond
 * that, the VM runs already. UINT64_MAX: nothing is known. */
void flood_set_swallows(Flood *flood, uint64_t frames);

/* To be called when frames come over the link, before flood_has(). */
void flood_look(Flood *flood);

/* True, once for each that was delivered, if the network had this frame
 * delivered by itself. Of unicast frames that are the same it is the same one
 * only while frames that have no like are found at both hosts: so ask in the
 * order in which they came, and say flood_carried() if it is none. */
bool flood_has(Flood *flood, DedupFrame *frame);

/* May the network's own copy of @packet still be on its way? Frames to a group
 * are flooded, others while some were lately. */
bool flood_may_have(const Flood *flood, const Packet *packet);
/* @frame, of which flood_has() has just told that it is none, goes to the VM:
 * if a copy comes behind it, frames are flooded. */
void flood_carried(Flood *flood, DedupFrame *frame);

/* What came over the link is void, and may come once more. */
void flood_cancelled(Flood *flood);

/* A unicast frame of this sieve_digest() came to the VM at the other host. */
void flood_told(Flood *flood, uint64_t digest);

/* We have just taken @packet out of the TAP's queue: it is not delivered...
 * Returns when the network brought it (g_get_monotonic_time()), or if that was
 * not seen the present. */
int64_t flood_taken(Flood *flood, const Packet *packet);
/* ... unless we put it back. */
void flood_put_back(Flood *flood, const Packet *packet);

/* So many frames that the network delivered lay in the TAP's queue at the last
 * look, or came since, and none of their like came over the link. */
uint64_t flood_waiting(Flood *flood);

/* So many frames has the network delivered since this was made, as far as that
 * was looked at. */
uint64_t flood_brought(Flood *flood);

/* The TAP has counted @n more as dropped that are none of the network's: frames
 * of ours that it turned away, for one. */
void flood_ignore_dropped(Flood *flood, uint64_t n);

#endif
