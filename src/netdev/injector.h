/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A queue of frames on their way into a TAP: in order, never faster than the
 * guest takes them, and no more of them in the TAP's queue at a time than
 * leaves room for what the network itself delivers.
 *
 * While the gate is closed (the guest does not run) frames are held. While
 * the interface is down or gone they are held as well. The queue is not
 * bounded here: its owner stops feeding it (injector_queue()).
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
    /* @record went into the interface; it is popped after the call. */
    void (*injected)(void *opaque, const PacketRecord *record);
    /* These went in straight from injector_offer(). */
    void (*passed)(void *opaque, const Packet *packets, unsigned n);
    /* The interface will never take @record. */
    void (*refused)(void *opaque, const PacketRecord *record, InjectResult why);
    /* A round of injection is over; NULL: nobody wants to know. */
    void (*round_done)(void *opaque);
    /* How many frames may go into the TAP now, if the owner knows better than
     * the injector's own pace, which then does without a capture; or NULL. */
    uint64_t (*room)(void *opaque);
    /* The TAP has counted that many frames of ours; NULL: of no interest. */
    void (*counted)(void *opaque, uint64_t accepted, uint64_t refused);
    /* The TAP's queue was raised or put back, which the TAP counts as so many
     * dropped frames that nobody has seen; NULL: of no interest. */
    void (*raised)(void *opaque, uint64_t lost);
} InjectorHandlers;

Injector *injector_new(Tap *tap, const InjectorHandlers *handlers, void *opaque,
                       GError **errp);
void injector_free(Injector *injector);

/* The TAP's queue may be raised (raise.h), or has been by another daemon. */
void injector_allow_raise(Injector *injector);
/* Raises it for what may come to be held; false: try again later. */
bool injector_raise(Injector *injector);
/* It is put back when nothing waits and the network is silent. */
void injector_lower(Injector *injector);

/* Appends a copy and returns its record; injector_run() sends what may be
 * sent. */
PacketRecord *injector_append(Injector *injector, const Packet *packet);
/* Likewise, but without a copy, and NULL, if nothing waits and it can go in at
 * once; its bytes are to stay until injector_run(). */
PacketRecord *injector_offer(Injector *injector, const Packet *packet);
void injector_run(Injector *injector);

/* Puts frames into the TAP now that were taken out of it, before all that
 * waits, whether the gate is open or not, as far as they find room; returns how
 * many did. */
unsigned injector_put(Injector *injector, const Packet *packets, unsigned n);

/* What the TAP has counted of its doing. */
InjectCounts injector_counts(const Injector *injector);

/* Opening it runs at once. */
void injector_set_gate(Injector *injector, bool open);

/* Frames that wait; owned by the injector. */
const PacketQueue *injector_queue(const Injector *injector);

/* Throws away what waits. */
void injector_clear(Injector *injector);

#endif
