/* SPDX-License-Identifier: BSD-2-Clause */
#include "switchover/arrivals.h"

#include "switchover/late.h"

struct Arrivals {
    ArrivalsConfig config;
    Late *late; /* with flood; or NULL */
    /* Copies that came behind frames in the injector: the mark of a record
     * there tells how many of them came right behind it. */
    uint64_t behind;
    PacketRecord *newest; /* in the injector; NULL: it is not known */
    bool offering;        /* some may yet have to wait: injector_offer() */
};

static const PacketQueue *arrivals_queue(const Arrivals *self)
{
    return injector_queue(self->config.injector);
}

static void arrivals_none_wait(Arrivals *self)
{
    self->behind = 0;
    self->newest = NULL;
}

/* A copy has its place. */
static void arrivals_skip(Arrivals *self)
{
    if (self->newest) {
        self->newest->mark++;
    }
    self->behind +=
        self->offering || packet_queue_count(arrivals_queue(self)) > 0;
}

/* True if it is a copy of what the network has delivered, and counted. */
static bool arrivals_leave_out(Arrivals *self, const Packet *packet)
{
    bool has = flood_has(self->config.flood, packet);

    if (has) {
        counter_add(self->config.duplicate, 1, packet->len);
    }
    return has;
}

void arrivals_take(Arrivals *self, const Packet *packet)
{
    if (late_follow(self->late, packet)) {
        return;
    }
    if (arrivals_leave_out(self, packet)) {
        arrivals_skip(self);
    } else if (!late_take(self->late, packet)) {
        flood_carried(self->config.flood, packet);
        self->newest = injector_offer(self->config.injector, packet);
        self->offering = self->offering || !self->newest;
    }
}

void arrivals_take_copy(Arrivals *self, const Packet *packet)
{
    counter_add(self->config.duplicate, 1, packet->len);
    arrivals_skip(self);
}

void arrivals_run(Arrivals *self)
{
    injector_run(self->config.injector);
    self->offering = false;
    if (packet_queue_count(arrivals_queue(self)) == 0) {
        arrivals_none_wait(self);
    }
}

void arrivals_left(Arrivals *self, const PacketRecord *record)
{
    self->behind -= record->mark;
    if (packet_queue_count(arrivals_queue(self)) == 1) {
        arrivals_none_wait(self);
    }
}

/* LateHandlers */

static void arrivals_late_frame(void *opaque, const Packet *packet)
{
    Arrivals *self = opaque;

    if (arrivals_leave_out(self, packet)) {
        arrivals_skip(self);
    } else {
        flood_carried(self->config.flood, packet);
        self->newest = injector_append(self->config.injector, packet);
    }
}

static void arrivals_late_done(void *opaque)
{
    Arrivals *self = opaque;

    injector_run(self->config.injector);
    self->config.moved(self->config.opaque);
}

static const LateHandlers arrivals_late_handlers = {
    .frame = arrivals_late_frame,
    .done = arrivals_late_done,
};

void arrivals_flush(Arrivals *self)
{
    late_flush(self->late);
}

void arrivals_clear(Arrivals *self)
{
    late_clear(self->late);
    injector_clear(self->config.injector);
    arrivals_none_wait(self);
}

Counter arrivals_waiting(const Arrivals *self)
{
    const PacketQueue *queue = arrivals_queue(self);
    Counter waiting = late_waiting(self->late);

    counter_add(&waiting, packet_queue_count(queue), queue->bytes);
    return waiting;
}

uint64_t arrivals_unsettled(const Arrivals *self)
{
    return packet_queue_count(arrivals_queue(self)) + self->behind +
           late_count(self->late);
}

Arrivals *arrivals_new(const ArrivalsConfig *config)
{
    Arrivals *self = g_new0(Arrivals, 1);

    self->config = *config;
    self->late = config->flood
                     ? late_new(config->flood, &arrivals_late_handlers, self)
                     : NULL;
    return self;
}

void arrivals_free(Arrivals *self)
{
    if (self) {
        late_free(self->late);
        g_free(self);
    }
}
