/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Takes frames out of a TAP's queue in the VMM's place, through its own
 * descriptors: only where nobody else is to read them, that is while the VM
 * has not begun to run. Whoever drains has to see to it that the guest gets
 * what it is to get.
 *
 * The VMM may read at any time, too: no read waits, each frame comes to one of
 * both. In its loop only.
 */
#ifndef TF_NETDEV_DRAIN_H
#define TF_NETDEV_DRAIN_H

#include "netdev/tap.h"

#include <sys/types.h>

typedef struct Drain Drain;

/* One frame, with its offload state and its queue, numbered in any order; valid
 * during the call. */
typedef void DrainFunc(void *opaque, const Packet *packet);

/* Takes hold of all queues of @tap that process @pid has open, and leaves alone
 * what is in them. NULL with an error: see tun_fd_get(). */
Drain *drain_new(Tap *tap, pid_t pid, DrainFunc *func, void *opaque,
                 GError **errp);
/* Harmless with NULL. */
void drain_free(Drain *drain);

unsigned drain_queues(const Drain *drain);

/* Takes all that is in the queues now, and calls @func for each. */
void drain_run(Drain *drain);

/* Switched on, does so whenever something comes. */
void drain_set_on(Drain *drain, bool on);

#endif
