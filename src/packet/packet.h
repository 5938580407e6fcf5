/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A packet on the data path, and a batch of packets.
 *
 * A Packet is a borrowed view: the bytes belong to a kernel ring, a receive
 * buffer or a PacketQueue, and are valid only during the call that passes it.
 * To keep a packet, append it to a PacketQueue (queue.h).
 */
#ifndef TF_PACKET_PACKET_H
#define TF_PACKET_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <linux/virtio_net.h>

/* QEMU's NET_BUFSIZE: the largest frame that any end of a link accepts. */
#define PACKET_MAX_LEN (4096 + 65536)

/* From the netdev's point of view, as in QEMU: tx is toward the guest. */
typedef enum Direction { DIRECTION_TX, DIRECTION_RX, DIRECTION__MAX } Direction;

typedef enum Origin {
    ORIGIN_OBSERVED, /* a copy: the kernel delivers the frame by itself */
    ORIGIN_INJECTED, /* a filter put it into the chain */
} Origin;

typedef struct Packet {
    const uint8_t *data; /* the frame from its destination address on, VLAN
                            tag in band, without any virtio-net header */
    uint32_t len;        /* bytes of @data */
    Origin origin;
    int64_t time_ns; /* CLOCK_REALTIME, when the kernel saw it; 0: not
                        known */
    /* Offload state: flags and gso_type are 0 for a plain frame. Offsets
       count from @data. (linux/virtio_net.h) */
    struct virtio_net_hdr vnet;
    /* Bytes in front of @data that a callee may overwrite: room for a wire
       header. */
    uint16_t headroom;
    uint16_t queue; /* the interface's queue, if captured from a single one
                       (capture.h); else 0 */
} Packet;

#define PACKET_BATCH_MAX 64

typedef struct PacketBatch {
    unsigned n;
    Packet packets[PACKET_BATCH_MAX];
} PacketBatch;

/* True if it goes to a group: a broadcast or multicast (IEEE 802.3, 3.2.3). */
static inline bool packet_is_to_group(const Packet *packet)
{
    return packet->data[0] & 1;
}

/* Copies the packets that there are, not the whole array. */
static inline void packet_batch_copy(PacketBatch *to, const PacketBatch *from)
{
    to->n = from->n;
    memcpy(to->packets, from->packets, from->n * sizeof(from->packets[0]));
}

/* True for a GSO packet, in this source a *super-frame*: one that stands for
 * several frames on the wire and is to be segmented by the receiver. */
static inline bool packet_is_super_frame(const Packet *packet)
{
    return packet->vnet.gso_type != VIRTIO_NET_HDR_GSO_NONE;
}

/* True if the frame can't go on a wire as it is: its checksum is still to be
 * computed, or it is to be segmented. */
static inline bool packet_is_offloaded(const Packet *packet)
{
    return (packet->vnet.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) ||
           packet_is_super_frame(packet);
}

/* The last @n bytes of the headroom; @n is at most @packet->headroom. */
static inline uint8_t *packet_push(const Packet *packet, size_t n)
{
    return (uint8_t *)packet->data - n;
}

/* Packets and bytes; the unit of all statistics. */
typedef struct Counter {
    uint64_t packets;
    uint64_t bytes;
} Counter;

static inline void counter_add(Counter *counter, uint64_t packets,
                               uint64_t bytes)
{
    counter->packets += packets;
    counter->bytes += bytes;
}

static inline void counter_sub(Counter *counter, uint64_t packets,
                               uint64_t bytes)
{
    counter->packets -= packets;
    counter->bytes -= bytes;
}

#endif
