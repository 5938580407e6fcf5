/* SPDX-License-Identifier: BSD-2-Clause */
/* The source: frames from the capture, and to the destination. */
#include "base/log.h"
#include "switchover/source-internal.h"

/* A longer gap is not numbered frame by frame. */
#define GAP_MAX 65536

/* Captured frames */

/* Appends a record without bytes for a frame of queue @queue. */
static PacketRecord *source_append_missing(Source *self, unsigned queue)
{
    PacketRecord *record = frame_writer_append_missing(self->writer);

    record->queue = (uint16_t)queue;
    return record;
}

/* No room for @packet while shipping. It gets a record in any case. */
static void source_append_full(Source *self, const Packet *packet)
{
    if (self->config.on_full == FULL_BLOCK) {
        frame_writer_append_always(self->writer, packet);
        source_pause(self, true);
        return;
    }
    source_append_missing(self, packet->queue)->mark = RECORD_COUNTED;
    counter_add(&self->account.dropped[DROP_QUEUE_FULL], 1, packet->len);
}

/* Frames that were shipped and are kept (the VM may resume here, or the
 * destination may need them again) may take as much memory as those that
 * wait. */
static void source_limit_memory(Source *self)
{
    const PacketQueue *queue = source_queue(self);
    uint64_t before;

    do {
        before = queue->head.number;
        if (packet_queue_size(queue) > 2 * self->config.send_queue_size) {
            frame_writer_trim(self->writer, before + 1);
        }
    } while (queue->head.number != before);
}

void source_release(Source *self)
{
    if (!frame_writer_is_shipping(self->writer)) {
        return;
    }
    if (!self->keep) {
        source_link_trim(self->link);
    }
    source_limit_memory(self);
}

static void source_ship(Source *self)
{
    Counter waiting;

    frame_writer_run(self->writer);
    waiting = frame_writer_waiting(self->writer);
    record_waiting(&self->record, waiting);
    source_release(self);
}

/* While the VM runs: history. If it grows to send-queue-size, as the guest
 * takes nothing, further frames get a record without bytes. */
static void source_remember(Source *self, const Packet *packet)
{
    if (packet_queue_size(source_queue(self)) < self->config.send_queue_size) {
        frame_writer_append_always(self->writer, packet);
    } else {
        source_append_missing(self, packet->queue)->mark = RECORD_NO_ROOM;
    }
}

static void source_captured(void *opaque, Direction direction,
                            const PacketBatch *batch)
{
    Source *self = opaque;
    bool shipping = self->record.phase == SWITCHOVER_SHIPPING;

    for (unsigned i = 0; i < batch->n; i++) {
        const Packet *packet = &batch->packets[i];

        used_frames_captured(&self->used[packet->queue], packet->len);
        counter_add(&self->account.in_netdev, 1, packet->len);
        if (!shipping) {
            source_remember(self, packet);
        } else if (frame_writer_append(self->writer, packet) !=
                   FRAME_APPEND_OK) {
            source_append_full(self, packet);
        }
    }
    keeper_see(self->keeper, batch);
    if (!shipping) {
        source_note_delivered(self, batch);
    }
    ledger_captured(&self->ledger, batch->packets[0].queue, batch->n);
    record_captured(&self->record, batch, source_queue(self)->next - batch->n,
                    shipping);
    self->sample_us = self->pace_us;
    source_schedule(self);
    if (shipping) {
        source_ship(self);
    } else if (packet_queue_size(source_queue(self)) >
               2 * self->config.send_queue_size) {
        source_rearm(self);
    }
    if (self->catching_up) {
        /* Early samples tell more exactly which frames were dropped. */
        loop_timer_set(&self->sampler, 1);
    }
}

static void source_lost(void *opaque, unsigned queue, uint64_t n)
{
    Source *self = opaque;

    counter_add(&self->account.in_netdev, n, 0);
    if (n > GAP_MAX) {
        log_warning("switchover",
                    "%s: %" G_GUINT64_FORMAT " frames missed at once: what "
                    "the guest got is told anew from here",
                    self->config.name, n);
        counter_add(&self->account.dropped[DROP_RING], n, 0);
        source_rearm(self);
        return;
    }
    for (uint64_t i = 0; i < n; i++) {
        source_append_missing(self, queue);
    }
    ledger_captured(&self->ledger, queue, n);
    used_frames_missed(&self->used[queue]);
    if (self->record.phase == SWITCHOVER_SHIPPING) {
        source_ship(self);
    }
}

const CaptureHandlers source_capture_handlers = {
    .packets = source_captured,
    .lost = source_lost,
};

static void source_done(void *opaque, PacketRecord *record, FrameFate fate)
{
    Source *self = opaque;
    bool given = record->mark & RECORD_GIVEN;

    switch (fate) {
    case FRAME_SENT:
        if (given) {
            /* It was being sent when the VM resumed here. */
            source_uncount_given(self, record);
        }
        if (!(record->mark & RECORD_SHIPPED)) {
            /* Else it was counted at an earlier stop. */
            counter_add(&self->account.outdev, 1, record->len);
        }
        source_count_placed(self);
        record->mark |= RECORD_SHIPPED;
        if (given) {
            source_count_given(self, record);
        }
        record_shipped(&self->record, record);
        break;
    case FRAME_REPEATED:
        break;
    case FRAME_UNSENDABLE:
        counter_add(&self->account.dropped[DROP_OVERSIZE], 1, record->len);
        break;
    case FRAME_MISSING:
        if (!(record->mark & RECORD_COUNTED)) {
            counter_add(&self->account.dropped[record->mark & RECORD_NO_ROOM
                                                   ? DROP_QUEUE_FULL
                                                   : DROP_RING],
                        1, 0);
        }
        break;
    case FRAME_DROPPED:
        if (record->mark & RECORD_SHIPPED) {
            /* It was to go out again. */
            record->mark &= ~(uint32_t)RECORD_SHIPPED;
            counter_sub(&self->account.outdev, 1, record->len);
        }
        counter_add(&self->account.dropped[DROP_QUEUE_FULL], 1, record->len);
        break;
    }
}

static void source_cuts(void *opaque, unsigned n)
{
    source_say_cut(opaque, n);
}

static void source_room(void *opaque)
{
    Source *self = opaque;

    source_release(self);
    source_pause(self, false);
}

static void source_opened(void *opaque)
{
    source_link_opened(((Source *)opaque)->link);
}

static void source_closed(void *opaque)
{
    source_link_closed(((Source *)opaque)->link);
}

static void source_said(void *opaque, const uint8_t *bytes, size_t n)
{
    Source *self = opaque;

    if (source_link_said(self->link, bytes, n)) {
        source_release(self);
    }
}

const FrameWriterHandlers source_writer_handlers = {
    .done = source_done,
    .cuts = source_cuts,
    .room = source_room,
    .opened = source_opened,
    .closed = source_closed,
    .said = source_said,
};
