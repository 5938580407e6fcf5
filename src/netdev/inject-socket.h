/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Injects frames into an interface, toward the guest, through an AF_PACKET
 * socket; at high rates plain frames go through an AF_XDP socket (xsk.h).
 *
 * With PACKET_QDISC_BYPASS the kernel reports that a TAP's queue is full
 * (ENOBUFS), where it would otherwise drop the frame silently; and other packet
 * sockets do not see our frames. A super-frame that the TAP does not take (the
 * guest has not negotiated TSO) is segmented.
 *
 * In its loop only.
 */
#ifndef TF_NETDEV_INJECT_SOCKET_H
#define TF_NETDEV_INJECT_SOCKET_H

#include "netdev/link.h"
#include "packet/packet.h"

typedef struct InjectSocket InjectSocket;

typedef enum InjectResult {
    INJECT_OK,
    INJECT_FULL,     /* the TAP's queue is full: try the same frame again */
    INJECT_OVERSIZE, /* larger than the interface takes; permanent */
    INJECT_REFUSED,  /* the kernel does not take this frame; permanent */
    INJECT_GONE,     /* the interface is down or gone: try when it is back */
} InjectResult;

InjectSocket *inject_socket_new(void);
void inject_socket_free(InjectSocket *socket);

bool inject_socket_attach(InjectSocket *socket, const LinkState *link,
                          GError **errp);
void inject_socket_detach(InjectSocket *socket);

/* Injects @n packets, in order. Sets *@done to how many went in; the result is
 * that of the first that did not, or INJECT_OK. After INJECT_FULL or
 * INJECT_GONE that packet has to be the first of the next call. */
InjectResult inject_socket_send(InjectSocket *socket, const Packet *packets,
                                unsigned n, unsigned *done);

/* Entries of the TAP's queue that @packet may take: several if it has to be
 * segmented. */
unsigned inject_socket_entries(const InjectSocket *socket,
                               const Packet *packet);

/* Our part of what the TAP has counted since inject_socket_new(); segments
 * count one by one. */
typedef struct InjectCounts {
    uint64_t accepted; /* entered its queue */
    uint64_t refused;  /* found it full: each attempt is in its tx_dropped */
} InjectCounts;

InjectCounts inject_socket_counts(const InjectSocket *socket);

#endif
