/* SPDX-License-Identifier: BSD-2-Clause */
#include "netdev/injector.h"

#include "base/loop.h"
#include "netdev/raise.h"

/* "Live" frames are those that the network itself delivers to the TAP. */

/* So few frames are injected without a capture of the live ones. */
#define SMALL_BURST 64
/* How long a known room is valid: live frames of that time have their share of
 * the queue, and we take no more than there was. */
#define ROOM_US 1000
/* Interval of InjectorHandlers.room() while there is none. */
#define OWNER_RETRY_US 1000
/* How long live frames are captured after the last injection. */
#define LIVE_LINGER_US 1000000
/* The queue's length is restored when no frame came between two samples at this
 * interval; after more samples if an earlier daemon has raised it, and its
 * content is not known. */
#define SILENCE_US 20000
#define BUSY_US 200000 /* until the next attempt */
#define SILENT_LOOKS_ADOPTED 50
/* Samples that injector_free() waits for at the most. */
#define LAST_LOOKS 4
/* Frames per round, so that a backlog does not starve the rest. */
#define ROUND_MAX 4096

struct Injector {
    Tap *tap;
    const InjectorHandlers *handlers;
    void *opaque;
    InjectSocket *inject;
    Capture *live; /* counts live frames while we inject; or NULL */
    PacketQueue queue;
    PacketBatch offered; /* since the last injector_run() */
    uint64_t room;       /* at @room_us, less what was injected since */
    int64_t room_us;
    bool passing; /* offered frames were injected since the last tick */
    bool open;    /* the gate */
    bool running; /* injector_run() is in progress */
    Pace pace;
    InjectCounts counts; /* the last inject_socket_counts(), known to @pace */
    Raise raise;
    bool raise_wanted;
    uint64_t raised_accepted; /* counts.accepted when the queue was raised, or
                                 last closed by a VMM, plus injector_put() */
    uint32_t closed;          /* as in LinkState, at the last check */
    unsigned silent_looks;    /* samples in a row without a frame */
    uint64_t entered;         /* pace.meter.entered at the last of them */
    LoopTimer timer;
    TapListener listener;
};

static void injector_live(void *opaque, Direction direction,
                          const PacketBatch *batch)
{
    Injector *self = opaque;

    meter_enter(&self->pace.meter, batch->n);
}

static void injector_live_lost(void *opaque, unsigned queue, uint64_t n)
{
    Injector *self = opaque;

    meter_enter(&self->pace.meter, n);
}

static const CaptureHandlers injector_live_handlers = {
    .packets = injector_live,
    .lost = injector_live_lost,
};

/* Captures live frames. If that fails, only a full queue (ENOBUFS) stops us. */
static void injector_start_live(Injector *self)
{
    if (!self->live) {
        self->live = tap_add_capture(self->tap, CAPTURE_TX,
                                     &injector_live_handlers, self, NULL);
    }
}

static void injector_stop_live(Injector *self)
{
    if (self->live) {
        tap_remove_capture(self->tap, self->live);
        self->live = NULL;
        meter_reset(&self->pace.meter);
    }
}

/* Raising the queue */

static void injector_changed_queue(Injector *self, uint64_t lost)
{
    meter_reset(&self->pace.meter); /* @lost frames were in no queue */
    self->room = 0;
    if (self->handlers->raised) {
        self->handlers->raised(self->opaque, lost);
    }
}

bool injector_raise(Injector *self)
{
    uint64_t lost;

    if (!raise_is_up(&self->raise) && !self->raise.failed) {
        injector_start_live(self);
        if (self->live && raise_up(&self->raise, &lost)) {
            self->raised_accepted = self->counts.accepted;
            injector_changed_queue(self, lost);
        } else {
            injector_stop_live(self);
        }
    }
    self->raise_wanted = raise_is_up(&self->raise);
    return self->raise_wanted || self->raise.failed;
}

void injector_lower(Injector *self)
{
    self->raise_wanted = false;
    self->silent_looks = 0;
    if (raise_is_up(&self->raise) && !self->timer.armed) {
        loop_timer_set(&self->timer, SILENCE_US);
    }
}

/* When a VMM exits, the content of its queue is gone without being counted.
 * Another one may have opened the TAP before we are notified. */
static void injector_check_reader(Injector *self)
{
    LinkQueue queue;

    if (tap_read_queue(self->tap, &queue) && queue.closed != self->closed) {
        self->closed = queue.closed;
        self->raised_accepted = self->counts.accepted;
        self->raise.adopted = false;
        self->room = 0;
        meter_reset(&self->pace.meter);
    }
}

/* Does the content of the queue fit its usual length, and has nothing come for
 * a while? */
static bool injector_is_silent(Injector *self)
{
    LinkCounters counters;
    uint64_t content;

    injector_check_reader(self);
    if (!tap_has_reader(self->tap) ||
        (!self->raise.adopted &&
         self->counts.accepted == self->raised_accepted && !self->open)) {
        return true; /* nobody reads, and nothing of ours is in it */
    }
    if (!self->live || !tap_read_counters(self->tap, &counters)) {
        return false;
    }
    capture_drain(self->live);
    content = meter_sample(&self->pace.meter, &counters);
    if (content > 0 ||
        (self->silent_looks > 0 && self->entered != self->pace.meter.entered)) {
        self->silent_looks = 0;
    } else {
        self->silent_looks++;
    }
    self->entered = self->pace.meter.entered;
    return self->silent_looks >
           (self->raise.adopted ? SILENT_LOOKS_ADOPTED : 1);
}

/* Tries to restore the queue's length; true if that is done. */
static bool injector_put_back(Injector *self)
{
    uint64_t lost;

    if (!raise_is_up(&self->raise)) {
        return true;
    }
    if (!injector_is_silent(self) || !raise_down(&self->raise, &lost)) {
        return false;
    }
    injector_changed_queue(self, lost);
    return true;
}

/* Likewise before the injector is freed; blocks for LAST_LOOKS samples at the
 * most. */
static void injector_put_back_now(Injector *self)
{
    for (unsigned looks = 0; !injector_put_back(self); looks++) {
        if (looks == LAST_LOOKS) {
            raise_leave(&self->raise);
        } else {
            g_usleep(SILENCE_US);
        }
    }
}

static void injector_tick(void *opaque)
{
    Injector *self = opaque;

    if (packet_queue_count(&self->queue) > 0) {
        injector_run(self);
    } else if (self->passing) {
        self->passing = false;
        loop_timer_set(&self->timer, LIVE_LINGER_US);
    } else if (self->raise_wanted && raise_is_up(&self->raise)) {
        return; /* injector_lower() */
    } else if (injector_put_back(self)) {
        injector_stop_live(self);
    } else {
        loop_timer_set(&self->timer,
                       self->silent_looks > 0 ? SILENCE_US : BUSY_US);
    }
}

/* An earlier daemon may have raised the queue. */
static void injector_adopt_raise(Injector *self)
{
    if (raise_is_up(&self->raise)) {
        injector_start_live(self);
        loop_timer_set(&self->timer, SILENCE_US);
    }
}

void injector_allow_raise(Injector *self)
{
    raise_allow(&self->raise);
    injector_adopt_raise(self);
}

static void injector_tap_changed(void *opaque, bool renewed)
{
    Injector *self = opaque;

    injector_check_reader(self);
    if (renewed) {
        meter_reset(&self->pace.meter);
        raise_renew(&self->raise);
        injector_adopt_raise(self);
    }
    injector_run(self);
}

Injector *injector_new(Tap *tap, const InjectorHandlers *handlers, void *opaque,
                       GError **errp)
{
    Injector *self;
    InjectSocket *inject = tap_add_inject(tap, errp);

    if (!inject) {
        return NULL;
    }
    self = g_new0(Injector, 1);
    self->tap = tap;
    self->handlers = handlers;
    self->opaque = opaque;
    self->inject = inject;
    pace_init(&self->pace);
    raise_init(&self->raise, tap);
    packet_queue_init(&self->queue);
    self->timer = LOOP_TIMER_INIT;
    loop_timer_open(&self->timer, injector_tick, self);
    self->listener =
        (TapListener){.changed = injector_tap_changed, .opaque = self};
    tap_listen(tap, &self->listener);
    injector_check_reader(self);
    return self;
}

void injector_free(Injector *self)
{
    if (!self) {
        return;
    }
    tap_unlisten(self->tap, &self->listener);
    injector_put_back_now(self);
    loop_timer_close(&self->timer);
    injector_stop_live(self);
    tap_remove_inject(self->tap, self->inject);
    packet_queue_free(&self->queue);
    g_free(self);
}

/* Copies offered frames, from number @i on, into the queue. */
static void injector_keep(Injector *self, unsigned i)
{
    unsigned n = self->offered.n;

    self->offered.n = 0;
    for (; i < n; i++) {
        packet_queue_append(&self->queue, &self->offered.packets[i]);
    }
}

PacketRecord *injector_append(Injector *self, const Packet *packet)
{
    injector_keep(self, 0);
    return packet_queue_append(&self->queue, packet);
}

PacketRecord *injector_offer(Injector *self, const Packet *packet)
{
    if (self->open && packet_queue_count(&self->queue) == 0 &&
        self->offered.n < PACKET_BATCH_MAX) {
        self->offered.packets[self->offered.n++] = *packet;
        return NULL;
    }
    return injector_append(self, packet);
}

/* How many frames may go into the TAP now. A few are injected without a capture
 * of live frames: then the queue may hold more than it seems, and the kernel
 * refuses what does not fit. */
static uint64_t injector_look(Injector *self)
{
    uint64_t waiting = packet_queue_count(&self->queue) + self->offered.n;
    PaceQueue queue = {tap_queue_length(self->tap), raise_extra(&self->raise)};
    LinkCounters counters;

    if (waiting > SMALL_BURST) {
        injector_start_live(self);
    }
    if (!tap_read_counters(self->tap, &counters)) {
        return 0;
    }
    if (self->live) {
        capture_drain(self->live);
    }
    return pace_room(&self->pace, &counters, queue, waiting);
}

/* The same, by the last sample while that is valid and has room for @need. */
static uint64_t injector_room(Injector *self, uint64_t need)
{
    int64_t now = g_get_monotonic_time();

    if (self->handlers->room) {
        return self->handlers->room(self->opaque);
    }
    if (self->room < need || now - self->room_us > ROOM_US) {
        self->room = injector_look(self);
        self->room_us = now;
    }
    return self->room;
}

/* Passes on what the TAP has counted of our frames, to the pace and the owner.
 */
static void injector_count(Injector *self)
{
    InjectCounts now = inject_socket_counts(self->inject);
    uint64_t accepted = now.accepted - self->counts.accepted;
    uint64_t refused = now.refused - self->counts.refused;

    self->counts = now;
    meter_enter(&self->pace.meter, accepted);
    meter_refused(&self->pace.meter, refused);
    if (self->handlers->counted) {
        self->handlers->counted(self->opaque, accepted, refused);
    }
}

/* Injects up to one batch into *@room entries, at least one frame; true to go
 * on. */
static bool injector_batch(Injector *self, uint64_t *room)
{
    Packet packets[PACKET_BATCH_MAX];
    PacketCursor cursor = packet_queue_head(&self->queue);
    PacketRecord *record;
    InjectResult result;
    unsigned n = 0, done;

    while (*room > 0 && n < PACKET_BATCH_MAX &&
           (record = packet_queue_at(&self->queue, &cursor))) {
        Packet packet = packet_record_view(record);

        if (n > 0 && inject_socket_entries(self->inject, &packet) > *room) {
            break;
        }
        packets[n++] = packet;
        *room -= MIN(*room, inject_socket_entries(self->inject, &packet));
        packet_cursor_advance(&cursor);
    }
    result = inject_socket_send(self->inject, packets, n, &done);
    injector_count(self);
    for (unsigned i = 0; i < done; i++) {
        if (self->handlers->injected) {
            self->handlers->injected(self->opaque,
                                     packet_queue_oldest(&self->queue));
        }
        packet_queue_pop(&self->queue);
    }
    if (result == INJECT_OVERSIZE || result == INJECT_REFUSED) {
        self->handlers->refused(self->opaque, packet_queue_oldest(&self->queue),
                                result);
        packet_queue_pop(&self->queue);
        return true;
    }
    return result == INJECT_OK;
}

/* Injects offered frames without a copy, and queues those that can't go in now
 * or are refused. */
static void injector_pass(Injector *self)
{
    const Packet *packets = self->offered.packets;
    unsigned n = 0, done = 0;

    if (self->offered.n == SMALL_BURST) {
        injector_start_live(self);
    }
    injector_room(self, self->offered.n);
    while (n < self->offered.n &&
           inject_socket_entries(self->inject, &packets[n]) <= self->room) {
        self->room -= inject_socket_entries(self->inject, &packets[n++]);
    }
    self->running = true;
    if (n > 0) {
        inject_socket_send(self->inject, packets, n, &done);
        injector_count(self);
        if (self->handlers->passed) {
            self->handlers->passed(self->opaque, packets, done);
        }
        self->passing = true;
    }
    self->running = false;
    injector_keep(self, done);
}

void injector_run(Injector *self)
{
    uint64_t budget = ROUND_MAX, room, before;
    bool going = true;

    if (self->offered.n > 0 && self->open && !self->running &&
        tap_is_up(self->tap)) {
        injector_pass(self);
    }
    injector_keep(self, 0);
    if (!self->open && !self->handlers->room &&
        packet_queue_count(&self->queue) > SMALL_BURST) {
        injector_start_live(self); /* not when every microsecond counts */
    }
    if (self->live && !self->timer.armed) {
        loop_timer_set(&self->timer, LIVE_LINGER_US);
    }
    if (self->running || !self->open || packet_queue_count(&self->queue) == 0 ||
        !tap_is_up(self->tap)) {
        return;
    }
    self->running = true;
    room = injector_room(self, 1);
    while (going && room > 0 && budget > 0 &&
           packet_queue_count(&self->queue) > 0) {
        before = self->queue.head.number;
        going = injector_batch(self, &room);
        budget -= MIN(budget, self->queue.head.number - before);
        if (room == 0 && self->handlers->room) {
            room = self->handlers->room(self->opaque);
        }
    }
    self->room = going ? room : 0;
    if (packet_queue_count(&self->queue) > 0) {
        loop_timer_set(&self->timer, budget == 0 ? 1
                                     : self->handlers->room
                                         ? OWNER_RETRY_US
                                         : pace_retry_us(&self->pace));
    }
    self->running = false;
    if (self->handlers->round_done) {
        self->handlers->round_done(self->opaque);
    }
}

unsigned injector_put(Injector *self, const Packet *packets, unsigned n)
{
    uint64_t accepted = self->counts.accepted;
    unsigned done;

    inject_socket_send(self->inject, packets, n, &done);
    injector_count(self);
    self->raised_accepted += self->counts.accepted - accepted;
    return done;
}

InjectCounts injector_counts(const Injector *self)
{
    return self->counts;
}

void injector_set_gate(Injector *self, bool open)
{
    self->open = open;
    if (open) {
        injector_run(self);
    }
}

const PacketQueue *injector_queue(const Injector *self)
{
    return &self->queue;
}

void injector_clear(Injector *self)
{
    packet_queue_clear(&self->queue);
}
