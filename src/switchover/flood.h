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

typedef struct Flood Flood;

/* Somebody else who wants to see what the network delivers. */
typedef void FloodFunc(void *opaque, const PacketBatch *batch);

Flood *flood_new(Tap *tap);
/* Harmless with NULL, as are the others. */
void flood_free(Flood *flood);

void flood_listen(Flood *flood, FloodFunc *func, void *opaque);

/* Switched off, it costs nothing and knows nothing. */
void flood_set_on(Flood *flood, bool on);

/* Does the VM run, so that what the VMM takes reaches the guest? */
void flood_set_running(Flood *flood, bool running);

/* To be called when frames come over the link, before flood_has(). */
void flood_look(Flood *flood);

/* True, once for each that was delivered, if the network had this frame
 * delivered by itself. */
bool flood_has(Flood *flood, const Packet *packet);

/* We put frames into the TAP: @accepted went in, and it counted @refused as
 * dropped. */
void flood_injected(Flood *flood, uint64_t accepted, uint64_t refused);

#endif
