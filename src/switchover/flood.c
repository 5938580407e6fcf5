/* SPDX-License-Identifier: BSD-2-Clause */
#include "switchover/flood.h"

#include "base/log.h"
#include "base/loop.h"
#include "switchover/dedup.h"

/* Looks in a row while frames find the queue full. */
#define LOOKS_MAX 4

struct Flood {
    Tap *tap;
    Capture *capture; /* NULL: off */
    Dedup *seen;
    bool running; /* the VM does */
    uint8_t *scratch;
    LinkCounters counters; /* at the last look, less what is ours */
    uint64_t fresh;        /* frames seen since */
    int64_t looked_us;     /* when that was */
    LoopTimer looker;      /* set while there are any */
    TapListener listener;
    FloodFunc *func; /* of the one who listens; or NULL */
    void *opaque;
};

/* What the TAP counted since the last look. */
static LinkCounters flood_read(Flood *self)
{
    LinkCounters before = self->counters, now;

    if (!tap_read_counters(self->tap, &now)) {
        return (LinkCounters){0};
    }
    self->counters = now;
    return (LinkCounters){
        .tx_packets = now.tx_packets - before.tx_packets,
        .tx_dropped = now.tx_dropped - before.tx_dropped,
    };
}

static void flood_packets(void *opaque, Direction direction,
                          const PacketBatch *batch)
{
    Flood *self = opaque;
    int64_t now = g_get_monotonic_time();

    (void)direction;
    for (unsigned i = 0; i < batch->n; i++) {
        dedup_add(self->seen, dedup_digest(&batch->packets[i], self->scratch),
                  now);
    }
    self->fresh += batch->n;
    if (!self->looker.armed) {
        loop_timer_set(&self->looker, 1);
    }
    if (self->func) {
        self->func(self->opaque, batch);
    }
}

/* What is lost is not known: rather twice than never. */
static const CaptureHandlers flood_handlers = {
    .packets = flood_packets,
};

/* What is counted as dropped has been seen once the capture is drained, and is
 * the newest of it: so the counters are read first, and again. */
void flood_look(Flood *self)
{
    LinkCounters since;
    unsigned looks = 0;

    if (!self || !self->capture) {
        return;
    }
    loop_timer_cancel(&self->looker);
    self->looked_us = g_get_monotonic_time();
    capture_drain(self->capture);
    if (self->running && self->fresh == 0) {
        return; /* the counters have nothing to tell */
    }
    do {
        since = flood_read(self);
        capture_drain(self->capture);
        dedup_forget_newest(self->seen, MIN(since.tx_dropped, self->fresh));
        if (!self->running) {
            dedup_forget_oldest(self->seen, since.tx_packets);
        }
    } while (since.tx_dropped > 0 && ++looks < LOOKS_MAX);
    self->fresh = 0;
}

static void flood_tick(void *opaque)
{
    flood_look(opaque);
}

static void flood_tap_changed(void *opaque, bool renewed)
{
    Flood *self = opaque;

    if (renewed) { /* what the old one held is gone with it */
        dedup_clear(self->seen);
        flood_read(self);
    }
}

Flood *flood_new(Tap *tap)
{
    Flood *self = g_new0(Flood, 1);

    self->tap = tap;
    self->seen = dedup_new();
    self->scratch = g_malloc(PACKET_MAX_LEN);
    self->looker = LOOP_TIMER_INIT;
    loop_timer_open(&self->looker, flood_tick, self);
    self->listener = (TapListener){flood_tap_changed, self};
    tap_listen(tap, &self->listener);
    return self;
}

void flood_free(Flood *self)
{
    if (self) {
        tap_unlisten(self->tap, &self->listener);
        tap_remove_capture(self->tap, self->capture);
        loop_timer_close(&self->looker);
        dedup_free(self->seen);
        g_free(self->scratch);
        g_free(self);
    }
}

void flood_listen(Flood *self, FloodFunc *func, void *opaque)
{
    if (self) {
        self->func = func;
        self->opaque = opaque;
    }
}

void flood_set_on(Flood *self, bool on)
{
    g_autoptr(GError) error = NULL;

    if (!self || on == (self->capture != NULL)) {
        return;
    }
    dedup_clear(self->seen);
    if (!on) {
        tap_remove_capture(self->tap, self->capture);
        self->capture = NULL;
        return;
    }
    flood_read(self);
    self->capture =
        tap_add_capture(self->tap, CAPTURE_TX, &flood_handlers, self, &error);
    if (!self->capture) {
        log_warning("switchover",
                    "%s: what the network floods may come twice: %s",
                    tap_ifname(self->tap), error->message);
    }
}

void flood_set_running(Flood *self, bool running)
{
    if (self && running != self->running) {
        flood_look(self);
        self->running = running;
    }
}

bool flood_has(Flood *self, const Packet *packet)
{
    return self && self->capture &&
           !dedup_is_empty(self->seen, self->looked_us) &&
           dedup_take(self->seen, dedup_digest(packet, self->scratch),
                      self->looked_us);
}

void flood_injected(Flood *self, uint64_t accepted, uint64_t refused)
{
    (void)accepted;
    if (self) {
        self->counters.tx_dropped += refused;
    }
}
