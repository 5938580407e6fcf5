/* SPDX-License-Identifier: BSD-2-Clause */
#include "netdev/capture.h"

#include "base/error.h"
#include "base/log.h"
#include "base/loop.h"
#include "netdev/capture-socket.h"
#include "netdev/capture-switch.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* Limits of one wakeup, in frames and bytes, so that one busy interface starves
 * neither the others nor its own outdev, which sends after the last frame. */
#define WAKEUP_BUDGET 1024u
#define WAKEUP_BYTES (2 * 1024 * 1024)
/* Frames of capture_drain(): more than a ring holds. */
#define DRAIN_BUDGET 65536u
/*
 * A flood: FLOOD_FRAMES frames with a mean interval below FLOOD_INTERVAL_NS.
 * Then the socket is polled every FLOOD_LOOK_US: a wakeup for each frame costs
 * more than the frame, here and at the receiver.
 */
#define FLOOD_INTERVAL_NS 6000
#define FLOOD_FRAMES 64
#define FLOOD_LOOK_US 250
/* While frames would be dropped in any case (CaptureHandlers.drops): limits of
 * one poll, and its interval. */
#define DROPS_FRAMES 256
#define DROPS_BYTES (128 * 1024)
#define DROPS_LOOK_US 1000
/* A ring is set up after BUSY_FRAMES frames with a mean interval below
 * BUSY_INTERVAL_NS, and removed after RING_IDLE_US with less than
 * RING_IDLE_FRAMES. */
#define BUSY_FRAMES 512
#define BUSY_INTERVAL_NS 20000
#define RING_IDLE_FRAMES 1024
#define RING_IDLE_US 5000000

struct Capture {
    unsigned directions;
    CaptureQueues queues;
    const CaptureHandlers *handlers;
    void *opaque;
    struct sock_fprog match; /* capture_set_match(), owned */
    int ifindex;
    CaptureSocket socket;  /* the present one */
    CaptureSocket before;  /* the one before, until it is read empty */
    CaptureSwitch *change; /* from one to the other, in progress; or NULL */
    bool changeable;       /* the socket is in a fanout group */
    bool settled;          /* @before gets no more frames */
    LoopTimer idle;        /* RING_IDLE_US */
    LoopWatch watch, watch_before;
    LoopTimer look;            /* FLOOD_LOOK_US; then nothing is watched */
    uint64_t counted;          /* frames read */
    uint64_t counted_idle;     /* the same, when @idle last fired */
    uint64_t bytes;            /* of all frames read */
    int64_t flood_ns, busy_ns; /* begin of the intervals that are measured */
    bool flooded;              /* see FLOOD_INTERVAL_NS */
    bool busy;                 /* see BUSY_INTERVAL_NS */
    bool sparing;              /* during a wakeup: its limits apply */
    bool paused;
    LoopTimer unpaused; /* checks for losses after a pause */
    bool detached;      /* by a handler, while @draining */
    bool draining;      /* frames are being read */
    CaptureBuffer buffer;
    PacketBatch batch;
    Direction direction; /* of @batch */
};

static void capture_look(void *opaque);
static void capture_idle(void *opaque);
static void capture_turn(Capture *self);
static void capture_ready(void *opaque, uint32_t events);
static void capture_unpaused(void *opaque);

Capture *capture_new(unsigned directions, CaptureQueues queues,
                     const CaptureHandlers *handlers, void *opaque)
{
    Capture *self = g_new0(Capture, 1);

    self->directions = directions;
    self->queues = queues;
    self->handlers = handlers;
    self->opaque = opaque;
    self->socket = self->before = CAPTURE_SOCKET_INIT;
    self->watch = self->watch_before = LOOP_WATCH_INIT;
    self->look = self->idle = LOOP_TIMER_INIT;
    loop_timer_open(&self->look, capture_look, self);
    loop_timer_open(&self->idle, capture_idle, self);
    loop_timer_open(&self->unpaused, capture_unpaused, self);
    return self;
}

void capture_free(Capture *self)
{
    if (self) {
        loop_timer_close(&self->unpaused);
        capture_detach(self);
        loop_timer_close(&self->look);
        loop_timer_close(&self->idle);
        g_free(self->buffer.bytes);
        g_free(self->match.filter);
        g_free(self);
    }
}

/* Attaches the filter to @socket. */
static void capture_set_filter(Capture *self, const CaptureSocket *socket)
{
    CaptureFilter filter;

    if (socket->fd < 0) {
        return;
    }
    capture_filter_init(&filter, self->directions, self->queues, &self->match);
    if (!capture_filter_attach(&filter, socket->fd)) {
        /* The kernel rejects the program: match in user space alone. */
        capture_filter_init(&filter, self->directions, self->queues, NULL);
        capture_filter_attach(&filter, socket->fd);
    }
}

void capture_set_match(Capture *self, const struct sock_fprog *match)
{
    capture_switch_wait(self->change);
    g_clear_pointer(&self->match.filter, g_free);
    self->match.len = match ? match->len : 0;
    if (match) {
        self->match.filter =
            g_memdup2(match->filter, match->len * sizeof(match->filter[0]));
    }
    capture_set_filter(self, &self->socket);
    capture_set_filter(self, &self->before);
}

bool capture_attach(Capture *self, int ifindex, GError **errp)
{
    CaptureFilter filter;
    int error;

    g_assert(self->socket.fd < 0);
    if (!capture_socket_open(&self->socket, errp)) {
        return false;
    }
    capture_filter_init(&filter, self->directions, self->queues, NULL);
    error = capture_socket_bind(&self->socket, ifindex, 0, &filter);
    if (error != 0) {
        tf_error_set_errno(errp, error, "can not capture");
        capture_detach(self);
        return false;
    }
    capture_set_filter(self, &self->socket);
    self->ifindex = ifindex;
    self->changeable = capture_socket_group(&self->socket) != 0;
    loop_watch_add(&self->watch, self->socket.fd, self->paused ? 0 : EPOLLIN,
                   capture_ready, self);
    return true;
}

void capture_detach(Capture *self)
{
    loop_watch_remove(&self->watch);
    loop_watch_remove(&self->watch_before);
    if (self->draining) {
        self->detached = true; /* closed by capture_read() */
        return;
    }
    g_clear_pointer(&self->change, capture_switch_free);
    loop_timer_cancel(&self->idle);
    capture_socket_close(&self->before);
    capture_socket_close(&self->socket);
    self->settled = self->flooded = self->busy = false;
}

/* Passes the batch on, then releases the frames taken from @socket, except the
 * last @keep. */
static void capture_flush(Capture *self, CaptureSocket *socket, unsigned keep)
{
    unsigned n = self->batch.n;

    if (n > 0 && !self->detached) {
        self->handlers->packets(self->opaque, self->direction, &self->batch);
    }
    capture_socket_release(socket, keep);
    if (keep == 0) {
        capture_buffer_empty(&self->buffer);
    }
    self->batch.n = 0;
}

static void capture_tell_lost(Capture *self, uint64_t n)
{
    if (n > 0 && !self->detached && self->handlers->lost) {
        self->handlers->lost(self->opaque, self->queues.first, n);
    }
}

static void capture_report_lost(Capture *self, const CaptureSocket *socket)
{
    capture_tell_lost(self, socket->fd >= 0 ? capture_socket_lost(socket) : 0);
}

/* Updates what is known of the rate of frames. */
static void capture_count(Capture *self, Packet *packet)
{
    int64_t time_ns = packet->time_ns;

    packet->queue = self->queues.first;
    self->bytes += packet->len;
    if (++self->counted % FLOOD_FRAMES == 0) {
        self->flooded =
            time_ns - self->flood_ns < FLOOD_FRAMES * FLOOD_INTERVAL_NS;
        self->flood_ns = time_ns;
    }
    if (self->counted % BUSY_FRAMES == 0) {
        self->busy = time_ns - self->busy_ns < BUSY_FRAMES * BUSY_INTERVAL_NS;
        self->busy_ns = time_ns;
    }
}

/* Passes the batch on without the frame taken last, which does not belong to
 * it.
 */
static void capture_flush_before(Capture *self, CaptureSocket *socket,
                                 bool losing)
{
    Packet packet = self->batch.packets[self->batch.n];

    capture_flush(self, socket, 1);
    self->batch.packets[0] = packet;
    if (losing) {
        capture_report_lost(self, socket);
    }
}

static bool capture_drops(const Capture *self)
{
    return self->handlers->drops && self->handlers->drops(self->opaque);
}

/* Reads up to *@budget frames; true if @socket has no more. */
static bool capture_read_socket(Capture *self, CaptureSocket *socket,
                                unsigned *budget)
{
    CaptureTake take = CAPTURE_TAKE_FRAME;
    uint64_t end = self->bytes + DROPS_BYTES;
    uint64_t most = self->sparing ? self->bytes + WAKEUP_BYTES : UINT64_MAX;

    while (*budget > 0 && self->bytes < most && !self->detached &&
           !self->paused && take != CAPTURE_TAKE_NONE) {
        Packet *packet = &self->batch.packets[self->batch.n];
        Direction direction = self->direction;
        bool losing = false;

        take = capture_socket_take(socket, &self->buffer, packet, &direction,
                                   &losing);
        if (take == CAPTURE_TAKE_CUT || direction != self->direction ||
            losing) {
            capture_flush_before(self, socket, losing);
        }
        self->direction = direction;
        if (take == CAPTURE_TAKE_FRAME) {
            capture_count(self, &self->batch.packets[self->batch.n++]);
        } else if (take == CAPTURE_TAKE_CUT) {
            capture_tell_lost(self, 1);
        }
        *budget -= take == CAPTURE_TAKE_FRAME || take == CAPTURE_TAKE_CUT;
        if (self->batch.n == PACKET_BATCH_MAX || take == CAPTURE_TAKE_LATER) {
            capture_flush(self, socket, 0);
            if (self->sparing && capture_drops(self)) {
                *budget = self->bytes < end ? MIN(*budget, DROPS_FRAMES) : 0;
            }
        }
    }
    capture_flush(self, socket, 0);
    return take == CAPTURE_TAKE_NONE;
}

/* Reads up to @budget frames; true if there may be more. */
static bool capture_read(Capture *self, unsigned budget)
{
    bool empty = true;

    self->draining = true;
    if (self->before.fd >= 0) {
        empty = capture_read_socket(self, &self->before, &budget);
    }
    if (empty && self->settled) {
        capture_report_lost(self, &self->before);
        loop_watch_remove(&self->watch_before);
        capture_socket_close(&self->before);
        self->settled = false;
    }
    empty = empty && capture_read_socket(self, &self->socket, &budget);
    self->draining = false;
    if (self->detached) {
        self->detached = false;
        capture_detach(self);
        return false;
    }
    return !empty;
}

void capture_drain(Capture *self)
{
    if (self->socket.fd >= 0 && !self->draining && !self->paused) {
        capture_read(self, DRAIN_BUDGET);
        if (self->handlers->lost) {
            /* Losses behind which no frame has come that would tell of them. */
            capture_report_lost(self, &self->before);
            capture_report_lost(self, &self->socket);
        }
    }
}

/* Switching to a ring and back */

static void capture_switched(void *opaque, CaptureSocket to)
{
    Capture *self = opaque;

    self->before = self->socket;
    self->socket = to;
    loop_watch_remove(&self->watch);
    loop_watch_add(&self->watch_before, self->before.fd,
                   self->paused ? 0 : EPOLLIN, capture_ready, self);
    loop_watch_add(&self->watch, self->socket.fd, self->paused ? 0 : EPOLLIN,
                   capture_ready, self);
}

static void capture_settled(void *opaque, int error)
{
    Capture *self = opaque;

    g_clear_pointer(&self->change, capture_switch_free);
    self->settled = self->before.fd >= 0 && error == 0;
    if (error != 0) {
        log_warning("tap", "can not change how frames are captured: %s",
                    g_strerror(error));
        self->changeable = false;
    }
    if (self->socket.ring) {
        loop_timer_set(&self->idle, RING_IDLE_US);
    }
    if (!self->paused) {
        capture_turn(self);
    }
}

static const CaptureSwitchHandlers capture_switch_handlers = {
    .ready = capture_switched,
    .done = capture_settled,
};

static void capture_change(Capture *self, bool ring)
{
    CaptureFilter filter;

    if (self->change || self->before.fd >= 0 || !self->changeable ||
        ring == (self->socket.ring != NULL)) {
        return;
    }
    capture_filter_init(&filter, self->directions, self->queues, &self->match);
    self->change = capture_switch_new(&self->socket, self->ifindex, ring,
                                      &filter, &capture_switch_handlers, self);
}

/* The ring is removed if it is not needed any more. */
static void capture_idle(void *opaque)
{
    Capture *self = opaque;

    if (self->counted - self->counted_idle < RING_IDLE_FRAMES) {
        capture_change(self, false);
    } else {
        loop_timer_set(&self->idle, RING_IDLE_US);
    }
    self->counted_idle = self->counted;
}

/* Wakeups */

static void capture_watch_one(const Capture *self, LoopWatch *watch, bool later)
{
    if (watch->fd >= 0) {
        loop_watch_modify(watch, self->paused || later ? 0 : EPOLLIN);
    }
}

/* Watches for frames, or sets the timer for the next poll. */
static void capture_watch(Capture *self, bool more)
{
    bool drops = capture_drops(self);
    bool later = drops || (self->flooded && !more);

    capture_watch_one(self, &self->watch, later);
    capture_watch_one(self, &self->watch_before, later);
    if (later && !self->paused && self->socket.fd >= 0) {
        loop_timer_set(&self->look, drops ? DROPS_LOOK_US : FLOOD_LOOK_US);
    }
}

/* One wakeup or poll. */
static void capture_turn(Capture *self)
{
    uint64_t counted = self->counted;
    bool more;

    self->sparing = true;
    more = capture_read(self, WAKEUP_BUDGET);
    self->sparing = false;

    if (capture_drops(self)) {
        /* Losses up to now have this cause. */
        capture_report_lost(self, &self->before);
        capture_report_lost(self, &self->socket);
    }
    self->flooded &= self->counted != counted;
    if (self->busy && self->socket.fd >= 0) {
        capture_change(self, true);
    }
    capture_watch(self, more);
}

static void capture_look(void *opaque)
{
    Capture *self = opaque;

    if (self->socket.fd >= 0 && !self->paused) {
        capture_turn(self);
    }
}

static void capture_clear_error(int fd)
{
    int error;
    socklen_t length = sizeof(error);

    if (fd >= 0) {
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
    }
}

static void capture_ready(void *opaque, uint32_t events)
{
    Capture *self = opaque;

    if (events & EPOLLERR) {
        /* The interface went down or was deleted: see tap.c. */
        capture_clear_error(self->socket.fd);
        capture_clear_error(self->before.fd);
    }
    if (!self->paused) {
        capture_turn(self);
    }
}

/* Frames may have been lost, and none has come since that tells of it. */
static void capture_unpaused(void *opaque)
{
    capture_drain(opaque);
}

void capture_pause(Capture *self, bool paused)
{
    if (self->paused && !paused) {
        loop_timer_set(&self->unpaused, 0);
    }
    self->paused = paused;
    self->flooded = false;
    capture_watch(self, false);
}
