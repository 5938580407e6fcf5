/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A first-in, first-out queue of packets: history, send queue, hold queue.
 *
 * Packets are copied into large chunks, one record after the other, each with
 * room in front of its bytes for a wire header, so that header and frame are
 * one iovec. Chunks are pooled: in the steady state an append allocates
 * nothing. Records are numbered from 0 without gaps over the life of the queue;
 * a record whose bytes were never seen (the kernel dropped the frame) has a
 * number and a length of 0.
 *
 * Not thread-safe: a queue belongs to one loop.
 */
#ifndef TF_PACKET_QUEUE_H
#define TF_PACKET_QUEUE_H

#include "packet/packet.h"

#include <stddef.h>

/* Longest wire header: u32 length, u32 vnet length, virtio-net header. */
#define PACKET_RECORD_HEADROOM 20

typedef struct PacketRecord {
    uint32_t len;   /* bytes of @data; 0: never seen */
    uint16_t mark;  /* for the queue's owner, 0 at first */
    uint16_t queue; /* as in Packet */
    int64_t time_ns;
    int64_t queued_us; /* CLOCK_REALTIME of the append */
    struct virtio_net_hdr vnet;
    uint16_t parts; /* for the sender (frame-writer.h), 0 at first */
    uint8_t headroom[PACKET_RECORD_HEADROOM];
    uint8_t data[];
} PacketRecord;

typedef struct PacketChunk PacketChunk;

/* A place in a queue: the record with @number, or the end. */
typedef struct PacketCursor {
    PacketChunk *chunk;
    size_t offset;
    uint64_t number;
} PacketCursor;

typedef struct PacketQueue {
    PacketChunk *first, *last;
    PacketChunk *spare;        /* chunks kept for the next appends */
    unsigned chunks, n_spares; /* in use; kept */
    PacketCursor head;         /* the oldest record */
    uint64_t next;             /* number of the next append */
    uint64_t bytes;            /* of all frames in the queue */
    uint64_t memory;           /* bytes of the chunks */
} PacketQueue;

void packet_queue_init(PacketQueue *queue);
void packet_queue_free(PacketQueue *queue);

/* Copies @packet, which may be the view of a record of this queue, to the end
 * and returns its record, which stays in place until it is popped. */
PacketRecord *packet_queue_append(PacketQueue *queue, const Packet *packet);

/* Appends a record for a packet that was never seen. */
PacketRecord *packet_queue_append_missing(PacketQueue *queue);

/* Removes the oldest record. The queue must not be empty. */
void packet_queue_pop(PacketQueue *queue);

void packet_queue_clear(PacketQueue *queue);

static inline uint64_t packet_queue_count(const PacketQueue *queue)
{
    return queue->next - queue->head.number;
}

/* Bytes of the queue including the records' overhead, for comparison with a
 * limit. */
static inline uint64_t packet_queue_size(const PacketQueue *queue)
{
    return queue->bytes + packet_queue_count(queue) * sizeof(PacketRecord);
}

/* The record at @cursor, or NULL at the end. */
PacketRecord *packet_queue_at(const PacketQueue *queue, PacketCursor *cursor);

/* Moves on to the next record. */
void packet_cursor_advance(PacketCursor *cursor);

/* A cursor at the oldest record; at the end if the queue is empty. */
static inline PacketCursor packet_queue_head(const PacketQueue *queue)
{
    return queue->head;
}

/* The oldest record; NULL if the queue is empty. */
static inline PacketRecord *packet_queue_oldest(const PacketQueue *queue)
{
    PacketCursor cursor = packet_queue_head(queue);

    return packet_queue_at(queue, &cursor);
}

/* The record as a packet with ORIGIN_INJECTED; valid as long as the record. */
Packet packet_record_view(const PacketRecord *record);

#endif
