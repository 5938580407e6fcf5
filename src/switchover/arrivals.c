/* SPDX-License-Identifier: BSD-2-Clause */
#include "switchover/arrivals.h"

#include "switchover/had.h"
#include "switchover/late.h"

struct Arrivals {
    ArrivalsConfig config;
    Late *late; /* with flood; or NULL */
    Had *had;   /* since arrivals_forget() */
    uint8_t *scratch;
    /* Duplicates that came behind frames in the injector; PacketRecord.mark
     * there is how many of them came directly behind that frame. */
    uint64_t behind;
    PacketRecord *newest; /* in the injector; NULL: not known */
    bool offering;        /* injector_offer() was called, not yet _run() */
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

/* Discards a duplicate; it is settled. */
static void arrivals_leave_out(Arrivals *self, const Packet *packet)
{
    counter_add(self->config.duplicate, 1, packet->len);
    if (self->newest) {
        self->newest->mark++;
    }
    self->behind +=
        self->offering || packet_queue_count(arrivals_queue(self)) > 0;
}

void arrivals_follow(Arrivals *self)
{
    had_follow(self->had);
}

void arrivals_forget(Arrivals *self)
{
    had_clear(self->had);
}

void arrivals_end_queue(Arrivals *self, uint64_t n)
{
    had_end_queue(self->had, n);
}

void arrivals_place(Arrivals *self, uint64_t came)
{
    had_place(self->had, came);
}

bool arrivals_in_front(const Arrivals *self, uint64_t *n)
{
    return had_in_front(self->had, n);
}

/* Has an earlier source shipped it? Else it is remembered, for the next one. */
static bool arrivals_has_had(Arrivals *self, DedupFrame *frame, bool found)
{
    bool has = found && had_take(self->had, dedup_frame_digest(frame));

    if (!has && !had_is_full(self->had)) {
        had_note(self->had, dedup_frame_digest(frame));
    }
    return has;
}

bool arrivals_take(Arrivals *self, const Packet *packet, bool found)
{
    DedupFrame frame = {.packet = packet, .scratch = self->scratch};

    if (arrivals_has_had(self, &frame, found)) {
        arrivals_leave_out(self, packet);
        return false;
    }
    if (late_follow(self->late, packet)) {
        return true;
    }
    if (flood_has(self->config.flood, &frame)) {
        arrivals_leave_out(self, packet);
    } else if (!late_take(self->late, packet)) {
        flood_carried(self->config.flood, &frame);
        self->newest = injector_offer(self->config.injector, packet);
        self->offering = self->offering || !self->newest;
    }
    return true;
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
    DedupFrame frame = {.packet = packet, .scratch = self->scratch};

    if (flood_has(self->config.flood, &frame)) {
        arrivals_leave_out(self, packet);
    } else {
        flood_carried(self->config.flood, &frame);
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
    self->had = had_new();
    self->scratch = g_malloc(PACKET_MAX_LEN);
    return self;
}

void arrivals_free(Arrivals *self)
{
    if (self) {
        late_free(self->late);
        had_free(self->had);
        g_free(self->scratch);
        g_free(self);
    }
}
