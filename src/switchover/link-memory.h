/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state of a destination's link that survives the daemon: a page of shared
 * memory (shm_overview(7)), named by network namespace, interface and
 * redirector. The next daemon resumes from it, so that frames which the guest
 * has received are not sent again. It costs one store per frame. In its loop
 * only.
 */
#ifndef TF_SWITCHOVER_LINK_MEMORY_H
#define TF_SWITCHOVER_LINK_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

typedef struct LinkMemory LinkMemory;

/* The memory of redirector @name on @ifname in the daemon's network namespace.
 * One that belongs to a living process or to another user is not used: so it is
 * to be opened as the user that the daemon runs as. */
LinkMemory *link_memory_new(const char *name, const char *ifname);
/* Keeps the content for the next daemon. Harmless with NULL. */
void link_memory_free(LinkMemory *memory);

/* True if a daemon that has ended had received frames of *@session; all before
 * number *@settled were settled. */
bool link_memory_recall(LinkMemory *memory, uint64_t *session,
                        uint64_t *settled);

/* Frames of @session begin; all before @settled are settled. Logs a warning if
 * the memory can't be allocated. */
void link_memory_begin(LinkMemory *memory, uint64_t session, uint64_t settled);
/* All before @settled are settled; ignored if that is less than before. */
void link_memory_settle(LinkMemory *memory, uint64_t settled);
/* The source does not come back: removes the memory. */
void link_memory_end(LinkMemory *memory);

#endif
