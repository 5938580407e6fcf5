/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads frames out of a TAP's queue in place of the VMM, through duplicates of
 * the VMM's own descriptors: while the VM has not begun to run. The guest does
 * not get what was drained: the owner has to put back what it is to get.
 *
 * The VMM may read at the same time: no read blocks, and each frame goes to one
 * of both. In its loop only.
 */
#ifndef TF_NETDEV_DRAIN_H
#define TF_NETDEV_DRAIN_H

#include "netdev/tap.h"

#include <sys/types.h>

typedef struct Drain Drain;

/* One frame with its offload state; valid during the call. Packet.queue tells
 * the queues apart, but is not the kernel's number. */
typedef void DrainFunc(void *opaque, const Packet *packet);

/* Duplicates the descriptors of all queues of @tap that process @pid has open;
 * reads nothing yet. NULL and an error: see tun_fd_get(). */
Drain *drain_new(Tap *tap, pid_t pid, DrainFunc *func, void *opaque,
                 GError **errp);
/* Harmless with NULL. */
void drain_free(Drain *drain);

/* How many queues the process has open. */
unsigned drain_queues(const Drain *drain);

/* Reads all that is in the queues now, and calls the DrainFunc for each. */
void drain_run(Drain *drain);

/* While on, reads whenever a frame arrives. */
void drain_set_on(Drain *drain, bool on);

#endif
