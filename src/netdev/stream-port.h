/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The network end of a netdev on a stream socket: frames in QEMU's framing
 * (u32 BE length, frame; never a virtio-net header) both ways, over a private
 * socket chardev with a frame reader and a frame writer.
 *
 * Received frames enter the netdev's chain as tx. Frames that the peer does not
 * take wait, up to STREAM_PORT_QUEUE_BYTES; beyond that, and without a peer,
 * they are dropped and counted. In its loop only.
 */
#ifndef TF_NETDEV_STREAM_PORT_H
#define TF_NETDEV_STREAM_PORT_H

#include "chardev/frame-reader.h"
#include "chardev/frame-writer.h"
#include "chardev/socket-connection.h"
#include "netdev/netdev.h"

#define STREAM_PORT_QUEUE_BYTES (16 * 1024 * 1024)

typedef struct StreamPort {
    Netdev *netdev;
    Chardev *chardev; /* owned */
    FrameReader *reader;
    FrameWriter *writer;
    void (*changed)(Netdev *netdev); /* connected or not; may be NULL */
} StreamPort;

/* Opens @port of @netdev at @address, whose content is taken over; the rest
 * of @port is zeroed but for @changed. */
bool stream_port_open(StreamPort *port, Netdev *netdev,
                      const ChardevSocketConfig *config, GError **errp);
/* Harmless if it was not opened. */
void stream_port_close(StreamPort *port);

void stream_port_send(StreamPort *port, const Packet *packet);
void stream_port_flush(StreamPort *port);

/* The peer's address, to be cleared; false while there is none. */
bool stream_port_peer(const StreamPort *port, Address *address);

#endif
