/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Keeps the TAP of a VM that migrates away open, so that its carrier, and with
 * it all late frames, are not lost when the VMM exits: duplicates the VMM's
 * descriptors when the migration begins or the VM stops, and closes them once
 * the VMM is gone and no unicast frame has come for a while.
 *
 * It closes them at once if the VM stays here or another VMM opens the TAP, and
 * if the interface is set down, renamed or deleted. Then a TAP that is not
 * persistent vanishes, and a persistent one loses its carrier, as if the VMM
 * had just exited. Nobody reads the TAP's queue meanwhile; frames are captured
 * before they enter it. In its loop only.
 */
#ifndef TF_SWITCHOVER_KEEPER_H
#define TF_SWITCHOVER_KEEPER_H

#include "netdev/tap.h"

typedef struct Keeper Keeper;

/* @name: of the redirector, for the log; borrowed, as is @tap. @quiet_ms: how
 * long it stays open after the last unicast frame; 0: returns NULL, the TAP is
 * not kept. */
Keeper *keeper_new(const char *name, Tap *tap, uint32_t quiet_ms);
/* Harmless with NULL, as are the others. */
void keeper_free(Keeper *keeper);

/* Off: closes the descriptors. */
void keeper_set_on(Keeper *keeper, bool on);

/* Frames toward the guest were captured. */
void keeper_see(Keeper *keeper, const PacketBatch *batch);

#endif
