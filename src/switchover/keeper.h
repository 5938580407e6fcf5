/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Keeps the TAP of a VM that migrates away open, so that the VMM's end does
 * not take the carrier, and with it all late frames, along: duplicates the
 * VMM's descriptors when the migration begins or the VM stops, and closes them
 * once the VMM is gone and no unicast frame has come for a while.
 *
 * It lets go at once of a VM that stays here, or is another one's, and of an
 * interface that somebody takes down, renames or deletes; so a TAP that is not
 * persistent vanishes, and one that is loses its carrier, as if the VMM had
 * just ended. Nobody reads the TAP's queue meanwhile: what is sent there is
 * captured before it gets there. In its loop only.
 */
#ifndef TF_SWITCHOVER_KEEPER_H
#define TF_SWITCHOVER_KEEPER_H

#include "netdev/tap.h"

typedef struct Keeper Keeper;

/* @name, of the redirector, for the log; borrowed, as is @tap. @quiet_ms: how
 * long after the last unicast frame; 0: NULL is returned, nothing is kept. */
Keeper *keeper_new(const char *name, Tap *tap, uint32_t quiet_ms);
/* Harmless with NULL, as are the others. */
void keeper_free(Keeper *keeper);

/* Switched off, it lets go. */
void keeper_set_on(Keeper *keeper, bool on);

/* These frames were captured on their way to the guest. */
void keeper_see(Keeper *keeper, const PacketBatch *batch);

#endif
