/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A queue of frames to be injected into a TAP: in order, at the guest's own
 * rate (pace.h), so that the TAP's queue always has room for what the network
 * itself delivers.
 *
 * While the gate is closed (the guest does not run), and while the interface is
 * down or gone, frames are held. The queue is not bounded here: the owner has
 * to stop feeding it (injector_queue()).
 *
 * In its loop only.
 */
#ifndef TF_NETDEV_INJECTOR_H
#define TF_NETDEV_INJECTOR_H

#include "netdev/pace.h"
#include "netdev/tap.h"
#include "packet/queue.h"

typedef struct Injector Injector;

typedef struct InjectorHandlers {
    /* @record went into the interface; it is popped after the call. NULL: not
     * wanted. */
    void (*injected)(void *opaque, const PacketRecord *record);
    /* These went in without being queued, see injector_offer(). NULL: not
     * wanted. */
    void (*passed)(void *opaque, const Packet *packets, unsigned n);
    /* @record was refused for good, and is dropped after the call. */
    void (*refused)(void *opaque, const PacketRecord *record, InjectResult why);
    /* A round of injection is over; NULL: not wanted. */
    void (*round_done)(void *opaque);
    /* How many frames may go into the TAP now, for an owner that knows the
     * queue's content; NULL: the injector finds out by a capture of its own. */
    uint64_t (*room)(void *opaque);
    /* The TAP has counted frames of ours (InjectCounts, since the last call);
     * NULL: not wanted. */
    void (*counted)(void *opaque, uint64_t accepted, uint64_t refused);
    /* The length of the TAP's queue was changed, and the TAP has counted @lost
     * frames as dropped meanwhile, which nobody has seen; NULL: not wanted. */
    void (*raised)(void *opaque, uint64_t lost);
} InjectorHandlers;

Injector *injector_new(Tap *tap, const InjectorHandlers *handlers, void *opaque,
                       GError **errp);
void injector_free(Injector *injector);

/* The TAP's queue may be lengthened (raise.h), or has been by an earlier
 * daemon.
 */
void injector_allow_raise(Injector *injector);
/* Lengthens it, for frames to be held; false: try again later. */
bool injector_raise(Injector *injector);
/* Restores its length, as soon as nothing waits and the network is silent. */
void injector_lower(Injector *injector);

/* Appends a copy and returns its record. */
PacketRecord *injector_append(Injector *injector, const Packet *packet);
/* Likewise; but if nothing waits and @packet can go in at once, it is not
 * copied and NULL is returned: then its bytes have to stay valid until
 * injector_run().
 */
PacketRecord *injector_offer(Injector *injector, const Packet *packet);
/* Injects as many as may go in now. */
void injector_run(Injector *injector);

/* Puts frames back that were drained from the TAP: at once, ahead of all that
 * waits, and even with the gate closed. Returns how many found room. */
unsigned injector_put(Injector *injector, const Packet *packets, unsigned n);

/* See inject_socket_counts(). */
InjectCounts injector_counts(const Injector *injector);

/* Opens or closes the gate; opening it injects at once. */
void injector_set_gate(Injector *injector, bool open);

/* The frames that wait; owned by the injector. */
const PacketQueue *injector_queue(const Injector *injector);

/* Discards what waits, without calling handlers. */
void injector_clear(Injector *injector);

#endif
