/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Captures what the network itself delivers to the destination's TAP, and tells
 * which of the frames that come over the link are duplicates of these: a switch
 * that floods sends a frame to both hosts.
 *
 * A frame counts as delivered if it entered the TAP's queue (not if that was
 * full), unless the VMM took it while the VM was stopped: an incoming QEMU
 * reads a frame that the guest never gets. In its loop only.
 */
#ifndef TF_SWITCHOVER_FLOOD_H
#define TF_SWITCHOVER_FLOOD_H

#include "netdev/tap.h"
#include "switchover/dedup.h"

typedef struct Flood Flood;

/* Frames that the network has delivered. */
typedef void FloodFunc(void *opaque, const PacketBatch *batch);

/* @pieces: the link carries no virtio-net headers, and so super-frames arrive
 * segmented. */
Flood *flood_new(Tap *tap, bool pieces);
/* Harmless with NULL, as are the others. */
void flood_free(Flood *flood);

/* Calls @func for the frames that the network delivers. One listener. */
void flood_listen(Flood *flood, FloodFunc *func, void *opaque);

/* Starts or stops the capture; stopping forgets everything. */
void flood_set_on(Flood *flood, bool on);

/* Does the VM run, so that the guest gets what the VMM takes? */
void flood_set_running(Flood *flood, bool running);

/* While the VM does not run, the VMM takes at most @frames more: if it takes
 * more than that, the VM runs already. UINT64_MAX: not known. */
void flood_set_swallows(Flood *flood, uint64_t frames);

/* Takes in what was captured by now, and reads the TAP's counters. To be called
 * when frames have come over the link, before flood_has(). */
void flood_look(Flood *flood);

/* Is @frame, which came over the link, a duplicate of one that the network has
 * delivered? True once for each that was delivered. Equal unicast frames count
 * as copies of one frame only while other frames, which are unique, are found
 * at both hosts. So to be called in the order of arrival, and followed by
 * flood_carried() if false. */
bool flood_has(Flood *flood, DedupFrame *frame);

/* May a duplicate of @packet still come from the network? Multicast and
 * broadcast frames are flooded, others while some were flooded lately. */
bool flood_may_have(const Flood *flood, const Packet *packet);
/* @frame, for which flood_has() has just returned false, goes to the VM: if a
 * duplicate comes behind it, unicast frames are flooded. */
void flood_carried(Flood *flood, DedupFrame *frame);

/* The migration was cancelled: frames that came over the link are void and may
 * come once more. */
void flood_cancelled(Flood *flood);

/* The source says that its VM received a unicast frame of this sieve_digest().
 */
void flood_told(Flood *flood, uint64_t digest);

/* We have just drained @packet from the TAP's queue: it is not delivered.
 * Returns when the network delivered it (g_get_monotonic_time()), or now if
 * that was not seen. */
int64_t flood_taken(Flood *flood, const Packet *packet);
/* We have put it back: it is. */
void flood_put_back(Flood *flood, const Packet *packet);

/* How many delivered frames have no duplicate that came over the link; of
 * these, while the VM has not run, all are in the TAP's queue. */
uint64_t flood_waiting(Flood *flood);

/* How many frames the network has delivered, as far as it was captured. */
uint64_t flood_brought(Flood *flood);

/* The TAP's tx_dropped has grown by @n for other frames than the network's:
 * injected ones that were refused, for example. */
void flood_ignore_dropped(Flood *flood, uint64_t n);

#endif
