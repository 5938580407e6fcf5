/* SPDX-License-Identifier: BSD-2-Clause */
#include "switchover/late.h"

#include "base/loop.h"
#include "packet/queue.h"

/* So long a frame waits for its copy. */
#define LATE_US 5000

struct Late {
    Flood *flood;
    const LateHandlers *handlers;
    void *opaque;
    PacketQueue frames; /* time_ns: when it came, CLOCK_MONOTONIC */
    LoopTimer timer;    /* set while there are any */
};

/* Those that came at @end_us or before go on. */
static void late_run(Late *self, int64_t end_us)
{
    PacketRecord *record;
    Packet packet;

    flood_look(self->flood);
    while ((record = packet_queue_oldest(&self->frames)) &&
           record->time_ns / 1000 <= end_us) {
        packet = packet_record_view(record);
        self->handlers->frame(self->opaque, &packet);
        packet_queue_pop(&self->frames);
    }
    loop_timer_cancel(&self->timer);
    if (record) {
        loop_timer_set(&self->timer,
                       (uint64_t)(record->time_ns / 1000 - end_us));
    }
    self->handlers->done(self->opaque);
}

static void late_tick(void *opaque)
{
    late_run(opaque, g_get_monotonic_time() - LATE_US);
}

static void late_append(Late *self, const Packet *packet)
{
    packet_queue_append(&self->frames, packet)->time_ns =
        g_get_monotonic_time() * 1000;
    if (!self->timer.armed) {
        loop_timer_set(&self->timer, LATE_US);
    }
}

bool late_follow(Late *self, const Packet *packet)
{
    bool follows = self && packet_queue_oldest(&self->frames);

    if (follows) {
        late_append(self, packet);
    }
    return follows;
}

bool late_take(Late *self, const Packet *packet)
{
    bool waits = self && flood_may_have(self->flood, packet);

    if (waits) {
        late_append(self, packet);
    }
    return waits;
}

void late_flush(Late *self)
{
    if (self && packet_queue_oldest(&self->frames)) {
        late_run(self, INT64_MAX);
    }
}

void late_clear(Late *self)
{
    if (self) {
        loop_timer_cancel(&self->timer);
        packet_queue_clear(&self->frames);
    }
}

Counter late_waiting(const Late *self)
{
    return self ? (Counter){late_count(self), self->frames.bytes}
                : (Counter){0};
}

uint64_t late_count(const Late *self)
{
    return self ? packet_queue_count(&self->frames) : 0;
}

Late *late_new(Flood *flood, const LateHandlers *handlers, void *opaque)
{
    Late *self = g_new0(Late, 1);

    self->flood = flood;
    self->handlers = handlers;
    self->opaque = opaque;
    packet_queue_init(&self->frames);
    self->timer = LOOP_TIMER_INIT;
    loop_timer_open(&self->timer, late_tick, self);
    return self;
}

void late_free(Late *self)
{
    if (self) {
        loop_timer_close(&self->timer);
        packet_queue_free(&self->frames);
        g_free(self);
    }
}
