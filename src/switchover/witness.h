/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sees what the network itself delivers to a destination's TAP, from the
 * moment that frames are held until a while after the last was injected, so
 * that the record can tell what the guest noticed. In its loop only.
 */
#ifndef TF_SWITCHOVER_WITNESS_H
#define TF_SWITCHOVER_WITNESS_H

#include "netdev/tap.h"
#include "packet/queue.h"
#include "switchover/flood.h"
#include "switchover/record.h"

typedef struct Witness Witness;

/* @queue: what waits to be injected. @flood sees the same frames for dedup and
 * passes them on; NULL: it looks by itself. All outlive the witness. */
Witness *witness_new(Tap *tap, SwitchoverRecord *record,
                     const PacketQueue *queue, Flood *flood);
/* Harmless with NULL. */
void witness_free(Witness *witness);

/* Looks as the record's phase says. */
void witness_update(Witness *witness);

/* Does the network send the VM frames of its own (unicast) while it stands
 * still? */
bool witness_sees_unicast(Witness *witness);

/* The VM runs from now on: what its TAP turns away is lost. */
void witness_resume(Witness *witness);

/* The TAP has turned away @n frames of ours, which go in later. */
void witness_refused(Witness *witness, uint64_t n);

/* Brings the record up to what the TAP has counted. */
void witness_measure(Witness *witness);

#endif
