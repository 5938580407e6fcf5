/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A TAP's queue (txqueuelen), made longer for as long as a backlog may need the
 * room: the backlog goes in at once, and what the network delivers meanwhile
 * lands behind it and finds the room that it always has.
 *
 * The kernel drops what is sent into the TAP while the length changes (see
 * link.h), which takes long on a busy host. So the owner raises it before
 * anything can be lost, and puts it back when nothing comes. With several
 * queues it may take as long as a migration, in which we stand still as well:
 * there it is left alone.
 *
 * The interface's alias tells the usual length meanwhile, unless it has one
 * already: a daemon that finds such a note takes over from one that was
 * killed. A length that somebody else has set is left as it is.
 *
 * In its loop only.
 */
#ifndef TF_NETDEV_RAISE_H
#define TF_NETDEV_RAISE_H

#include "netdev/tap.h"

/*
 * Entries for the backlog alone. An entry costs the kernel 8 bytes in the TAP's
 * queue and as many in each of the three bands of its queue discipline
 * (pfifo_fast): 512 KiB in all. Frames beyond that are paced
 * within them.
 */
#define RAISE_BY 16384

typedef struct Raise {
    Tap *tap;
    bool allowed;
    bool failed;    /* it can't, need not, or had better not be */
    bool adopted;   /* by another daemon, so what the queue holds is unknown */
    uint32_t usual; /* length; 0: it is not raised by us */
    int ifindex;    /* where */
} Raise;

void raise_init(Raise *raise, Tap *tap);

/* It may be raised from now on. Takes over what another daemon has left. */
void raise_allow(Raise *raise);

static inline bool raise_is_up(const Raise *raise)
{
    return raise->usual > 0;
}

/* How many entries the backlog has for itself; 0: none. */
uint32_t raise_extra(const Raise *raise);

/* True if it is raised now and was not before; then *@lost frames that the
 * network delivered meanwhile are counted as dropped. */
bool raise_up(Raise *raise, uint64_t *lost);

/* Puts the usual length back; *@lost likewise. False: not now, the host is so
 * busy that what the network brings would be lost for long. */
bool raise_down(Raise *raise, uint64_t *lost);

/* Gives up putting it back, and says so. */
void raise_leave(Raise *raise);

/* The interface is another one, which may have been raised in its turn. The
 * last one is put back if it just has another name now; one that was moved to
 * another namespace looks as if it were deleted, so a line says how. */
void raise_renew(Raise *raise);

#endif
