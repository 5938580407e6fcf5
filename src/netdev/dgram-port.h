/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The network end of a netdev on a datagram socket: one frame, one datagram.
 *
 * Received frames enter the netdev's chain as tx. Frames that the socket does
 * not take at once wait, up to DGRAM_PORT_QUEUE_BYTES; beyond that they are
 * dropped and counted, as are those that can not be sent at all. In its loop
 * only.
 */
#ifndef TF_NETDEV_DGRAM_PORT_H
#define TF_NETDEV_DGRAM_PORT_H

#include "base/datagram.h"
#include "base/loop.h"
#include "netdev/netdev.h"
#include "packet/queue.h"

#define DGRAM_PORT_QUEUE_BYTES (4 * 1024 * 1024)

typedef struct DgramPort {
    Netdev *netdev; /* NULL: not open */
    int fd;         /* owned */
    LoopWatch watch;
    LoopTimer retry;
    DatagramName to;
    Address bound;    /* whose socket file is removed at the end */
    uint8_t *buffer;  /* for one datagram */
    uint8_t *scratch; /* for segments */
    PacketQueue queue;
} DgramPort;

/* Takes over @fd, and the content of @bound where @fd is bound to it (NULL
 * where it is not). @to: where frames go; NULL if @fd is connected. */
void dgram_port_open(DgramPort *port, Netdev *netdev, int fd,
                     const DatagramName *to, Address *bound);
/* Harmless if it was not opened. */
void dgram_port_close(DgramPort *port);

void dgram_port_send(DgramPort *port, const Packet *packet);

#endif
