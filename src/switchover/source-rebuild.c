/* SPDX-License-Identifier: BSD-2-Clause */
/* The source: puts the frames that were found in the TAP's queues in front of
 * those captured, and numbers all of them anew. */
#include "packet/segment.h"
#include "switchover/source-internal.h"

static void rebuild_piece(void *opaque, const Packet *piece)
{
    (void)piece;
    ++*(uint64_t *)opaque;
}

static void rebuild_count_wire(Source *self, const Packet *packet)
{
    g_autofree uint8_t *scratch = NULL;

    if (self->config.vnet_len > 0 || !packet_is_super_frame(packet)) {
        self->found.parts++;
        return;
    }
    scratch = g_malloc(PACKET_MAX_LEN);
    packet_segment(packet, scratch, rebuild_piece, &self->found.parts);
}

/* Appends the first @n frames of @queue, as if captured when we started. */
static void rebuild_append_found(Source *self, const PacketQueue *queue,
                                 uint64_t n)
{
    PacketCursor cursor = packet_queue_head(queue);
    PacketRecord *record;

    for (; n > 0 && (record = packet_queue_at(queue, &cursor)); n--) {
        Packet packet = packet_record_view(record);

        packet.time_ns = self->began_us * 1000;
        frame_writer_append_always(self->writer, &packet);
        counter_add(&self->account.in_netdev, 1, packet.len);
        source_expect_injected(self, packet.len);
        rebuild_count_wire(self, &packet);
        packet_cursor_advance(&cursor);
    }
}

/* Appends copies of all records before number @end. */
static void rebuild_append_captured(Source *self, uint64_t end)
{
    const PacketQueue *queue = source_queue(self);
    PacketCursor cursor = packet_queue_head(queue);
    PacketRecord *record, *copy;

    for (; cursor.number < end; packet_cursor_advance(&cursor)) {
        Packet packet;

        record = packet_queue_at(queue, &cursor);
        packet = packet_record_view(record);
        if (record->len > 0) {
            copy = frame_writer_append_always(self->writer, &packet);
            used_frames_captured(&self->used[record->queue], record->len);
        } else {
            copy = frame_writer_append_missing(self->writer);
            used_frames_missed(&self->used[record->queue]);
        }
        copy->queue = record->queue;
        copy->mark = record->mark;
        copy->time_ns = record->time_ns;
        copy->queued_us = record->queued_us;
        ledger_captured(&self->ledger, copy->queue, 1);
    }
}

void source_rebuild(Source *self, const PacketQueue *drained,
                    const uint64_t *found, unsigned n)
{
    const PacketQueue *queue = source_queue(self);
    uint64_t first = queue->next;

    ledger_begin_at(&self->ledger, queue->head.number);
    source_unaccount(self, queue->head.number);
    source_reset_ledger(self);
    for (unsigned i = 0; i < self->n_captures; i++) {
        used_frames_clear(&self->used[i]);
    }
    self->n_used = 0;
    for (unsigned i = 0; i < n; i++) {
        rebuild_append_found(self, &drained[i], found[i]);
        self->found.ends[i] = self->found.parts;
    }
    self->found.n_ends = n;
    ledger_captured(&self->ledger, 0, queue->next - first);
    rebuild_append_captured(self, first);
    frame_writer_trim(self->writer, first);
    self->accounted = packet_queue_head(queue);
}
