/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Raises the length of a TAP's queue (txqueuelen) while a backlog may need the
 * room: the backlog goes in at once, and what the network delivers meanwhile is
 * queued behind it with as much room as usual.
 *
 * While the length changes the kernel drops what is sent into the TAP (link.h),
 * for longer on a busy host. So the owner raises it before a loss would matter,
 * and restores it when nothing arrives. On a multi-queue TAP the change may
 * take as long as a migration, and would block us: there it is not done.
 *
 * Meanwhile the interface's alias has the usual length, unless it has an alias
 * already: a daemon that finds it there takes over from one that was killed. A
 * length that somebody else has set is left as it is.
 *
 * In its loop only.
 */
#ifndef TF_NETDEV_RAISE_H
#define TF_NETDEV_RAISE_H

#include "netdev/tap.h"

/*
 * Additional entries, for the backlog. An entry costs the kernel 8 bytes in the
 * TAP's queue and 8 in each of the three bands of its queue discipline
 * (pfifo_fast): 512 KiB in all. A larger backlog is paced within them.
 */
#define RAISE_BY 16384

typedef struct Raise {
    Tap *tap;
    bool allowed;
    bool failed;    /* not to be tried on this interface (again) */
    bool adopted;   /* raised by an earlier daemon: the content is unknown */
    uint32_t usual; /* length to be restored; 0: not raised */
    int ifindex;    /* of the interface that is raised */
} Raise;

void raise_init(Raise *raise, Tap *tap);

/* Allows raising. Takes over what an earlier daemon has left. */
void raise_allow(Raise *raise);

static inline bool raise_is_up(const Raise *raise)
{
    return raise->usual > 0;
}

/* How many additional entries there are now; 0: not raised. */
uint32_t raise_extra(const Raise *raise);

/* Raises it. True if it was not raised before and is now; then *@lost is how
 * many frames the TAP has counted as dropped during the change. */
bool raise_up(Raise *raise, uint64_t *lost);

/* Restores the usual length; *@lost likewise. False: not now, the host is so
 * busy that the change would take long. */
bool raise_down(Raise *raise, uint64_t *lost);

/* Gives up restoring it, with a warning. */
void raise_leave(Raise *raise);

/* The TAP is another interface now, which an earlier daemon may have raised.
 * The length of the old one is restored if that was renamed. If it was deleted
 * or moved to another network namespace, which look the same, a log line tells
 * the command that does it. */
void raise_renew(Raise *raise);

#endif
