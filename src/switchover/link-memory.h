/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a destination has of its source, kept where the daemon's end does not
 * reach it: a page of shared memory (shm_overview(7)), named by the network
 * namespace, the interface and the redirector. The next daemon goes on there,
 * so what the guest got from the last one does not come again. It costs a store
 * into memory for each frame, and nothing else. In one loop only.
 */
#ifndef TF_SWITCHOVER_LINK_MEMORY_H
#define TF_SWITCHOVER_LINK_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

typedef struct LinkMemory LinkMemory;

/* That of redirector @name on @ifname, of the daemon's network namespace. What
 * another process that lives has, or another user, is left alone: so it is
 * opened by the user that the daemon runs as. */
LinkMemory *link_memory_new(const char *name, const char *ifname);
/* What is in it stays for the next one. Harmless with NULL. */
void link_memory_free(LinkMemory *memory);

/* True if a daemon that has ended had frames of @session, and all before
 * number @settled had their place for good. */
bool link_memory_recall(LinkMemory *memory, uint64_t *session,
                        uint64_t *settled);

/* Frames of @session come from here on: all before @settled have their place.
 * If there is no memory to be had a warning says so. */
void link_memory_begin(LinkMemory *memory, uint64_t session, uint64_t settled);
/* Now all before @settled; a smaller one than the last says nothing. */
void link_memory_settle(LinkMemory *memory, uint64_t settled);
/* The source does not come back: nothing is left behind. */
void link_memory_end(LinkMemory *memory);

#endif
