/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * filter-buffer: holds frames and lets them go on together, once every
 * interval. QEMU's filter of this name.
 *
 * Its clock is the VM's: while the VM is stopped the rest of the interval
 * stands still. A frame keeps its direction and its origin: what was a copy
 * of a frame that the kernel delivers is still one when it is released.
 */
#include "base/loop.h"
#include "filter/chain.h"
#include "packet/queue.h"

#include <string.h>

/* QEMU's bound on packets, and ours on memory: large frames are 64 KiB. */
#define BUFFER_PACKETS_MAX 10000
#define BUFFER_BYTES_MAX (64 * 1024 * 1024)

/* PacketRecord.mark: what a Packet says and a record does not. */
enum {
    BUFFER_RX = 1 << 0,
    BUFFER_INJECTED = 1 << 1,
};

typedef struct Buffer {
    Filter filter;
    uint32_t interval; /* property; microseconds */
    PacketQueue queue;
    LoopTimer timer;
    int64_t due_us;      /* CLOCK_MONOTONIC; while the timer is armed */
    uint64_t left_us;    /* while it is not: what is left of the interval */
    VmListener listener; /* func is NULL: not listening */
} Buffer;

/* Holding and releasing */

static Verdict buffer_packet(Filter *filter, Direction direction,
                             const Packet *packet)
{
    Buffer *self = (Buffer *)filter;
    PacketRecord *record;

    if (packet_queue_count(&self->queue) >= BUFFER_PACKETS_MAX ||
        packet_queue_size(&self->queue) + packet->len > BUFFER_BYTES_MAX) {
        return VERDICT_DROP_CAUSE(DROP_QUEUE_FULL);
    }
    record = packet_queue_append(&self->queue, packet);
    record->mark = (direction == DIRECTION_RX ? BUFFER_RX : 0) |
                   (packet->origin == ORIGIN_INJECTED ? BUFFER_INJECTED : 0);
    return VERDICT_CONSUMED;
}

/* Gathers the oldest records of one direction, those before @end. */
static Direction buffer_gather(Buffer *self, uint64_t end, PacketBatch *batch)
{
    PacketCursor cursor = packet_queue_head(&self->queue);
    uint32_t first = 0;

    batch->n = 0;
    while (batch->n < PACKET_BATCH_MAX && cursor.number < end) {
        PacketRecord *record = packet_queue_at(&self->queue, &cursor);
        Packet *packet = &batch->packets[batch->n];

        if (batch->n == 0) {
            first = record->mark;
        } else if ((record->mark ^ first) & BUFFER_RX) {
            break;
        }
        *packet = packet_record_view(record);
        packet->time_ns = 0; /* what follows sees it now */
        packet->origin =
            record->mark & BUFFER_INJECTED ? ORIGIN_INJECTED : ORIGIN_OBSERVED;
        batch->n++;
        packet_cursor_advance(&cursor);
    }
    return first & BUFFER_RX ? DIRECTION_RX : DIRECTION_TX;
}

/* Releases what is here now, in the order in which it came; not what comes
 * back to us meanwhile. */
static void buffer_flush(Buffer *self)
{
    uint64_t end = self->queue.next;
    PacketBatch batch;

    while (self->queue.head.number < end) {
        Direction direction = buffer_gather(self, end, &batch);

        chain_resume(&self->filter, direction, &batch);
        for (unsigned i = 0; i < batch.n; i++) {
            packet_queue_pop(&self->queue);
        }
    }
}

/* The clock */

static bool buffer_may_tick(const Buffer *self)
{
    const Vm *vm = self->filter.netdev->vm;

    return self->filter.on && (!vm->known || vm->running);
}

/* Starts or stops the clock as status and VM have it. */
static void buffer_update_clock(Buffer *self)
{
    int64_t now = g_get_monotonic_time();
    bool tick = buffer_may_tick(self);

    if (tick && !self->timer.armed) {
        self->due_us = now + (int64_t)self->left_us;
        loop_timer_set(&self->timer, self->left_us);
    } else if (!tick && self->timer.armed) {
        self->left_us = (uint64_t)MAX(self->due_us - now, 0);
        loop_timer_cancel(&self->timer);
    }
}

/* A whole interval from now on. */
static void buffer_restart_clock(Buffer *self)
{
    loop_timer_cancel(&self->timer);
    self->left_us = self->interval;
    buffer_update_clock(self);
}

static void buffer_tick(void *opaque)
{
    Buffer *self = opaque;

    buffer_restart_clock(self);
    buffer_flush(self);
}

static void buffer_vm_event(void *opaque, VmEvent event, int64_t time_us)
{
    if (event == VM_EVENT_RUN_STATE) {
        buffer_update_clock(opaque);
    }
}

static void buffer_status_changed(Filter *filter)
{
    Buffer *self = (Buffer *)filter;

    if (!filter->on) {
        buffer_flush(self);
    }
    buffer_restart_clock(self);
}

static bool buffer_property_changed(Filter *filter, const Property *row,
                                    GError **errp)
{
    if (strcmp(row->name, "interval") == 0) {
        buffer_restart_clock((Buffer *)filter);
    }
    return true;
}

/* Set-up */

static bool buffer_setup(Filter *filter, GError **errp)
{
    Buffer *self = (Buffer *)filter;

    packet_queue_init(&self->queue);
    self->timer = LOOP_TIMER_INIT;
    loop_timer_open(&self->timer, buffer_tick, self);
    self->listener = (VmListener){buffer_vm_event, self};
    vm_listen(filter->netdev->vm, &self->listener);
    buffer_restart_clock(self);
    return true;
}

static void buffer_leave(Filter *filter)
{
    buffer_flush((Buffer *)filter);
}

static void buffer_cleanup(Filter *filter)
{
    Buffer *self = (Buffer *)filter;

    if (self->listener.func) {
        vm_unlisten(filter->netdev->vm, &self->listener);
        loop_timer_close(&self->timer);
    }
    packet_queue_free(&self->queue);
}

static const Property buffer_props[] = {
    {.name = "interval",
     PROP_FIELD_UINT32(Buffer, interval),
     .flags = PROP_REQUIRED,
     .min = 1,
     .zero_error =
         "Property 'filter-buffer.interval' requires a positive value",
     .since = "0.1",
     .doc = "microseconds between releases"},
    PROP_END,
};

const FilterClass filter_buffer_class = {
    .object =
        {
            .name = "filter-buffer",
            .parent = &filter_class,
            .kind = OBJECT_KIND_OBJECT,
            .size = sizeof(Buffer),
            .props = buffer_props,
            .doc = "holds frames and releases them once every interval",
        },
    .drop_causes = 1u << DROP_QUEUE_FULL,
    .setup = buffer_setup,
    .leave = buffer_leave,
    .cleanup = buffer_cleanup,
    .packet = buffer_packet,
    .status_changed = buffer_status_changed,
    .property_changed = buffer_property_changed,
};
