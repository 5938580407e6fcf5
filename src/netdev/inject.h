/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Injection: frames put into an interface, toward the guest, through an
 * AF_PACKET socket, and plain ones in a flood through an AF_XDP socket (xsk.h).
 *
 * PACKET_QDISC_BYPASS makes the kernel say when a TAP's queue is full
 * (ENOBUFS) where it would otherwise lose the frame in silence, and keeps our
 * frames out of other captures. What the TAP can't take as it is (a
 * super-frame without the guest's TSO) goes in segments.
 *
 * In its loop only.
 */
#ifndef TF_NETDEV_INJECT_H
#define TF_NETDEV_INJECT_H

#include "netdev/link.h"
#include "packet/packet.h"

typedef struct Inject Inject;

typedef enum InjectResult {
    INJECT_OK,
    INJECT_FULL,     /* the TAP's queue is full: the same frame again later */
    INJECT_OVERSIZE, /* larger than the interface takes: never */
    INJECT_REFUSED,  /* the kernel does not take this frame: never */
    INJECT_GONE,     /* the interface is down or gone: when it is back */
} InjectResult;

Inject *inject_new(void);
void inject_free(Inject *inject);

bool inject_attach(Inject *inject, const LinkState *link, GError **errp);
void inject_detach(Inject *inject);

/* Injects @n packets, in order. Sets @done to how many went in; the result
 * is that of the first that did not, or INJECT_OK. A packet that failed as
 * FULL or GONE is to be given again first. */
InjectResult inject_packets(Inject *inject, const Packet *packets, unsigned n,
                            unsigned *done);

/* Entries of the TAP's queue that @packet may take: a TAP without the guest's
 * TSO takes a super-frame in segments. */
unsigned inject_entries(const Inject *inject, const Packet *packet);

/* What a TAP has counted of our doing since inject_new(), segments each. */
typedef struct InjectCounts {
    uint64_t accepted; /* entered its queue */
    uint64_t refused;  /* found it full: each try is one of its tx_dropped */
} InjectCounts;

InjectCounts inject_counts(const Inject *inject);

#endif
