/* SPDX-License-Identifier: BSD-2-Clause */
#include "packet/queue.h"

#include <string.h>

#include <glib.h>

#define CHUNK_SIZE (128 * 1024)
#define RECORD_ALIGN 8
/* A queue that goes up and down does not give memory back and take it again,
 * each page of which the kernel would have to clear. */
#define SPARES_MAX 512

struct PacketChunk {
    PacketChunk *next;
    size_t used;
    size_t size;
    _Alignas(RECORD_ALIGN) uint8_t bytes[];
};

static size_t record_size(uint32_t len)
{
    size_t size = sizeof(PacketRecord) + len;

    return (size + RECORD_ALIGN - 1) & ~(size_t)(RECORD_ALIGN - 1);
}

void packet_queue_init(PacketQueue *queue)
{
    *queue = (PacketQueue){0};
}

static void chunk_free(PacketQueue *queue, PacketChunk *chunk)
{
    queue->memory -= chunk->size;
    g_free(chunk);
}

/* Keeps no more than @n. */
static void queue_keep_spares(PacketQueue *queue, unsigned n)
{
    while (queue->n_spares > n) {
        PacketChunk *chunk = queue->spare;

        queue->spare = chunk->next;
        queue->n_spares--;
        chunk_free(queue, chunk);
    }
}

void packet_queue_free(PacketQueue *queue)
{
    packet_queue_clear(queue);
    if (queue->first) {
        chunk_free(queue, queue->first);
    }
    queue_keep_spares(queue, 0);
    packet_queue_init(queue);
}

static PacketChunk *chunk_new(PacketQueue *queue)
{
    PacketChunk *chunk = queue->spare;

    queue->chunks++;
    if (chunk) {
        queue->spare = chunk->next;
        queue->n_spares--;
    } else {
        chunk = g_malloc(sizeof(PacketChunk) + CHUNK_SIZE);
        chunk->size = CHUNK_SIZE;
        queue->memory += chunk->size;
    }
    chunk->next = NULL;
    chunk->used = 0;
    return chunk;
}

static PacketRecord *queue_extend(PacketQueue *queue, uint32_t len)
{
    size_t size = record_size(len);
    PacketRecord *record;

    G_STATIC_ASSERT(sizeof(PacketRecord) + PACKET_MAX_LEN + RECORD_ALIGN <=
                    CHUNK_SIZE);
    g_assert(len <= PACKET_MAX_LEN);
    if (!queue->last) {
        queue->first = queue->last = chunk_new(queue);
        queue->head.chunk = queue->first;
    } else if (queue->last->size - queue->last->used < size) {
        queue->last->next = chunk_new(queue);
        queue->last = queue->last->next;
    }
    record = (PacketRecord *)(queue->last->bytes + queue->last->used);
    queue->last->used += size;
    queue->next++;
    queue->bytes += len;
    record->len = len;
    record->mark = 0;
    record->parts = 0;
    record->queued_us = g_get_real_time();
    return record;
}

PacketRecord *packet_queue_append(PacketQueue *queue, const Packet *packet)
{
    PacketRecord *record = queue_extend(queue, packet->len);

    record->time_ns = packet->time_ns;
    record->vnet = packet->vnet;
    record->queue = packet->queue;
    memcpy(record->data, packet->data, packet->len);
    return record;
}

PacketRecord *packet_queue_append_missing(PacketQueue *queue)
{
    PacketRecord *record = queue_extend(queue, 0);

    record->time_ns = 0;
    record->vnet = (struct virtio_net_hdr){0};
    record->queue = 0;
    return record;
}

/* Steps over the end of a chunk that has been read up. */
static void cursor_settle(PacketCursor *cursor)
{
    while (cursor->offset == cursor->chunk->used && cursor->chunk->next) {
        cursor->chunk = cursor->chunk->next;
        cursor->offset = 0;
    }
}

PacketRecord *packet_queue_at(const PacketQueue *queue, PacketCursor *cursor)
{
    if (cursor->number >= queue->next) {
        return NULL;
    }
    if (cursor->number == queue->head.number) {
        /* It may have been at the end of a chunk that is gone by now. */
        *cursor = queue->head;
    }
    cursor_settle(cursor);
    return (PacketRecord *)(cursor->chunk->bytes + cursor->offset);
}

void packet_cursor_advance(PacketCursor *cursor)
{
    PacketRecord *record;

    cursor_settle(cursor);
    record = (PacketRecord *)(cursor->chunk->bytes + cursor->offset);
    cursor->offset += record_size(record->len);
    cursor->number++;
}

void packet_queue_pop(PacketQueue *queue)
{
    PacketRecord *record = packet_queue_at(queue, &queue->head);

    g_assert(record);
    queue->bytes -= record->len;
    packet_cursor_advance(&queue->head);
    cursor_settle(&queue->head);
    while (queue->first != queue->head.chunk) {
        PacketChunk *chunk = queue->first;

        queue->first = chunk->next;
        chunk->next = queue->spare;
        queue->spare = chunk;
        queue->n_spares++;
        queue->chunks--;
        queue_keep_spares(queue, MIN(queue->chunks, SPARES_MAX));
    }
}

void packet_queue_clear(PacketQueue *queue)
{
    while (packet_queue_count(queue) > 0) {
        packet_queue_pop(queue);
    }
}

Packet packet_record_view(const PacketRecord *record)
{
    return (Packet){
        .data = record->data,
        .len = record->len,
        .origin = ORIGIN_INJECTED,
        .time_ns = record->time_ns,
        .vnet = record->vnet,
        .headroom = PACKET_RECORD_HEADROOM,
        .queue = record->queue,
    };
}
