/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Observes what the network itself delivers to the destination's TAP, from the
 * first frame held until some time after the last was injected, for the record
 * of what the guest noticed. In its loop only.
 */
#ifndef TF_SWITCHOVER_WITNESS_H
#define TF_SWITCHOVER_WITNESS_H

#include "netdev/tap.h"
#include "packet/queue.h"
#include "switchover/flood.h"
#include "switchover/record.h"

typedef struct Witness Witness;

/* @queue: what waits to be injected. @flood captures the same frames and passes
 * them on; NULL: the witness has a capture of its own. All are borrowed and
 * outlive the witness. */
Witness *witness_new(Tap *tap, SwitchoverRecord *record,
                     const PacketQueue *queue, Flood *flood);
/* Harmless with NULL. */
void witness_free(Witness *witness);

/* The record's phase has changed: starts or stops observing. */
void witness_update(Witness *witness);

/* Has the network lately sent unicast frames to the stopped VM? */
bool witness_sees_unicast(Witness *witness);

/* The VM has begun to run: what its TAP drops from now on is lost. */
void witness_resume(Witness *witness);

/* The TAP has refused @n injected frames, which are injected later. */
void witness_refused(Witness *witness, uint64_t n);

/* Updates the record from the TAP's counters. */
void witness_measure(Witness *witness);

#endif
