/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The queue of a destination's TAP, before its VM runs. What flooding brings
 * there while the VM runs at the source the guest has had, and would get once
 * more when the VMM begins to read. So the queue is drained until the source
 * has said what its guest got up to its stop; then what is none of that is put
 * back, at once and in order, and the queue is left alone from then on.
 *
 * That takes a source that says it, and ptrace rights over the VMM. Without
 * them the queue is left alone, and what is in it when the VM runs is counted.
 * In its loop only.
 */
#ifndef TF_SWITCHOVER_INCOMING_H
#define TF_SWITCHOVER_INCOMING_H

#include "netdev/injector.h"
#include "switchover/flood.h"

#include <jansson.h>

typedef struct IncomingConfig {
    const char *name; /* of the redirector, for the log */
    Tap *tap;
    Flood *flood; /* or NULL */
    Injector *injector;
    uint64_t limit; /* bytes that it may keep */
} IncomingConfig;

typedef struct Incoming Incoming;

/* All that @config names is borrowed and outlives it. */
Incoming *incoming_new(const IncomingConfig *config);
void incoming_free(Incoming *incoming);

/* Does the VM have @yet_to_run here? Is there a source that @tells what its
 * guest got? */
void incoming_update(Incoming *incoming, bool yet_to_run, bool tells);

/* The source has said that (wire/link-delivered.h); nonsense is ignored. */
void incoming_hear(Incoming *incoming, const uint8_t *body, size_t len);

/* The VM runs at the source again: the guest has had all there. */
void incoming_cancel(Incoming *incoming);
/* Its VMM is gone, and what it had open is closed here, too. */
void incoming_gone(Incoming *incoming);

/* For query-switchover; owned. */
json_t *incoming_to_json(const Incoming *incoming);

#endif
