/* SPDX-License-Identifier: BSD-2-Clause */
#include "switchover/flood.h"

#include "base/log.h"
#include "base/loop.h"
#include "packet/segment.h"

/* How often the counters are read again at the most, while frames are dropped
 * and others come during the reading. */
#define READS_MAX 4
/* The most time between a frame over the link and its copy from the network. */
#define COPY_US 10000
/* How long after a copy of a unicast frame more are expected. */
#define COPIES_US 1000000
/* The most time between a frame's time stamp and its processing. */
#define LAG_US 1000000
/* How long after the network has delivered a frame, or the VM has resumed,
 * frames are compared at all. */
#define BRINGS_US 10000000

struct Flood {
    Tap *tap;
    bool pieces;      /* super-frames arrive over the link as segments */
    Capture *capture; /* NULL: off */
    Dedup *seen;      /* frames that the network has delivered here */
    Dedup *heard;     /* unicast frames of the source (of the link, or delivered
                         to its VM); those left have no copy in @seen */
    int64_t copies_us; /* when the last copy of a unicast frame was found */
    bool floods;       /* the last unique unicast frame of the source had one */
    bool running;      /* the VM is */
    uint64_t swallows; /* flood_set_swallows() */
    uint8_t *scratch;
    int64_t added_us; /* when the frames that are being added are processed */
    int64_t came_us;  /* when the frame that is added or was removed came */
    bool alone;       /* the frame of the last flood_has() is unique */
    LinkCounters counters; /* at the last look, without our own frames */
    uint64_t brought;      /* frames captured */
    uint64_t fresh; /* frames captured since the last look, and not yet known to
                       be accepted or dropped by the TAP */
    int64_t looked_us;  /* when that was */
    int64_t brought_us; /* of the last frame captured, or the VM's resume */
    LoopTimer looker;   /* set while there are fresh ones */
    TapListener listener;
    FloodFunc *func; /* flood_listen(), or NULL */
    void *opaque;
};

/* Adds to @since what the TAP has counted since the last reading. */
static void flood_read(Flood *self, LinkCounters *since)
{
    LinkCounters before = self->counters, now;

    if (tap_read_counters(self->tap, &now)) {
        self->counters = now;
        since->tx_packets += now.tx_packets - before.tx_packets;
        since->tx_dropped += now.tx_dropped - before.tx_dropped;
    }
}

/* Starts from the present counters. */
static void flood_begin(Flood *self)
{
    LinkCounters before = {0};

    flood_read(self, &before);
}

/* Called for each digest that @packet can have over the link: several if it is
 * segmented there. @first: it is the first one. */
typedef void FloodDigestFunc(Flood *flood, uint64_t digest, bool first);

typedef struct FloodWalk {
    Flood *flood;
    FloodDigestFunc *func;
    bool first;
} FloodWalk;

static void flood_piece(void *opaque, const Packet *segment)
{
    FloodWalk *walk = opaque;

    walk->func(walk->flood, dedup_digest(segment, NULL), walk->first);
    walk->first = false;
}

static void flood_each_digest(Flood *self, const Packet *packet,
                              FloodDigestFunc *func)
{
    FloodWalk walk = {self, func, true};

    if (!self->pieces || !packet_is_super_frame(packet) ||
        packet_segment(packet, self->scratch, flood_piece, &walk) == 0) {
        func(self, dedup_digest(packet, self->scratch), true);
    }
}

/* The digest of a unicast frame in @heard: as sieve_digest() has it. */
static uint64_t flood_heard_digest(uint64_t digest)
{
    return digest & ~UINT64_C(1);
}

/* The network has delivered a frame of @digest. Notes if it is a copy of a
 * unique frame that came over the link a moment ago. */
static void flood_note_copy(Flood *self, uint64_t digest, int64_t now)
{
    uint64_t heard = flood_heard_digest(digest);

    if (dedup_take_between(self->heard, heard, now - COPY_US, now) &&
        dedup_times(self->heard, heard, now) == 1 &&
        dedup_times(self->seen, digest, now) == 1) {
        self->copies_us = now;
        self->floods = true;
    }
}

static void flood_add(Flood *self, uint64_t digest, bool first)
{
    if (first) {
        dedup_add(self->seen, digest, self->came_us);
    } else {
        dedup_add_more(self->seen, digest, self->came_us);
    }
    flood_note_copy(self, digest, self->added_us);
}

static void flood_remove(Flood *self, uint64_t digest, bool first)
{
    int64_t came_us = dedup_remove(self->seen, digest, g_get_monotonic_time());

    self->came_us = first ? came_us : self->came_us;
}

/* The time stamp of @packet (CLOCK_REALTIME) on the monotonic clock; the two
 * are now @real_us and @now_us. Bounded, as CLOCK_REALTIME may step. */
static int64_t flood_came(const Packet *packet, int64_t now_us, int64_t real_us)
{
    int64_t ago = real_us - packet->time_ns / 1000;

    return packet->time_ns > 0 ? now_us - CLAMP(ago, 0, LAG_US) : now_us;
}

static void flood_packets(void *opaque, Direction direction,
                          const PacketBatch *batch)
{
    Flood *self = opaque;
    int64_t real_us = g_get_real_time();

    self->brought_us = self->added_us = g_get_monotonic_time();
    for (unsigned i = 0; i < batch->n; i++) {
        self->came_us = flood_came(&batch->packets[i], self->added_us, real_us);
        flood_each_digest(self, &batch->packets[i], flood_add);
    }
    self->brought += batch->n;
    self->fresh += batch->n;
    if (!self->looker.armed) {
        loop_timer_set(&self->looker, 1);
    }
    if (self->func) {
        self->func(self->opaque, batch);
    }
}

/* Frames lost by the capture are not known: rather a repeat than a loss. */
static const CaptureHandlers flood_handlers = {
    .packets = flood_packets,
};

/* The VMM has taken @n frames, while the VM is not known to run. */
static void flood_swallowed(Flood *self, uint64_t n)
{
    n = MIN(n, self->swallows);
    if (self->swallows != UINT64_MAX) {
        self->swallows -= n;
    }
    dedup_forget_oldest(self->seen, n);
}

/* The TAP has dropped @n frames: the newest; or with several queues any of
 * those since the last look, which then all count as dropped: rather a repeat
 * than a loss. */
static void flood_dropped(Flood *self, uint64_t n)
{
    if (n > 0 && tap_is_multi_queue(self->tap)) {
        n = self->fresh;
    }
    dedup_forget_newest(self->seen, MIN(n, self->fresh));
}

/* Drops that are counted are of the newest frames captured by then. */
void flood_look(Flood *self)
{
    LinkCounters since = {0};
    unsigned reads = 0;
    uint64_t counted; /* of the fresh ones: what became of them is */

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
        counted = self->fresh;
        flood_read(self, &since);
        capture_drain(self->capture);
    } while (self->fresh != counted && since.tx_dropped > 0 &&
             ++reads < READS_MAX);
    flood_dropped(self, since.tx_dropped);
    if (!self->running) {
        flood_swallowed(self, since.tx_packets);
    }
    self->fresh -= counted;
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
    }
    if (self->capture) {
        flood_look(self);
        flood_begin(self); /* nobody may have had it open */
    }
}

Flood *flood_new(Tap *tap, bool pieces)
{
    Flood *self = g_new0(Flood, 1);

    self->pieces = pieces;
    self->tap = tap;
    self->seen = dedup_new();
    self->heard = dedup_new();
    self->swallows = UINT64_MAX;
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
        dedup_free(self->heard);
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
    dedup_clear(self->heard);
    if (!on) {
        tap_remove_capture(self->tap, self->capture);
        self->capture = NULL;
        return;
    }
    flood_begin(self);
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
        self->brought_us = self->capture ? g_get_monotonic_time() : 0;
    }
}

void flood_set_swallows(Flood *self, uint64_t frames)
{
    if (self) {
        flood_look(self);
        self->swallows = frames;
    }
}

/* May there be copies of frames at all? */
static bool flood_compares(const Flood *self)
{
    return self && self->capture &&
           (!self->running || self->looked_us - self->brought_us < BRINGS_US);
}

/* A unicast frame of the source has a @copy here, or none. */
static void flood_note_heard(Flood *self, uint64_t digest, bool copy)
{
    digest = flood_heard_digest(digest);
    dedup_add(self->heard, digest, self->looked_us);
    if (copy) {
        dedup_take(self->heard, digest, self->looked_us);
    }
    if (self->alone) {
        self->floods = copy;
        self->copies_us = copy ? self->looked_us : self->copies_us;
    }
}

static bool flood_has_group(Flood *self, DedupFrame *frame)
{
    return !dedup_is_empty(self->seen, self->looked_us) &&
           dedup_take(self->seen, dedup_frame_digest(frame), self->looked_us);
}

static bool flood_has_unicast(Flood *self, uint64_t digest)
{
    bool has;

    self->alone = dedup_times(self->seen, digest, self->looked_us) < 2 &&
                  dedup_times(self->heard, flood_heard_digest(digest),
                              self->looked_us) == 0;
    has = (self->alone ||
           (self->floods && self->looked_us - self->copies_us < COPIES_US)) &&
          dedup_take(self->seen, digest, self->looked_us);
    if (has) {
        flood_note_heard(self, digest, true);
    }
    return has;
}

bool flood_has(Flood *self, DedupFrame *frame)
{
    if (!flood_compares(self)) {
        return false;
    }
    return packet_is_to_group(frame->packet)
               ? flood_has_group(self, frame)
               : flood_has_unicast(self, dedup_frame_digest(frame));
}

bool flood_may_have(const Flood *self, const Packet *packet)
{
    return flood_compares(self) &&
           (packet_is_to_group(packet) ||
            self->looked_us - self->copies_us < COPIES_US);
}

void flood_carried(Flood *self, DedupFrame *frame)
{
    if (flood_compares(self) && !packet_is_to_group(frame->packet)) {
        flood_note_heard(self, dedup_frame_digest(frame), false);
    }
}

void flood_cancelled(Flood *self)
{
    if (self) {
        dedup_clear(self->heard);
    }
}

void flood_told(Flood *self, uint64_t digest)
{
    int64_t now = g_get_monotonic_time();

    if (self) {
        dedup_add(self->heard, flood_heard_digest(digest), now);
        dedup_take(self->heard, flood_heard_digest(digest), now);
    }
}

int64_t flood_taken(Flood *self, const Packet *packet)
{
    if (!self || !self->capture) {
        return g_get_monotonic_time();
    }
    capture_drain(self->capture); /* where it was seen, if it was */
    self->counters.tx_packets++;
    flood_each_digest(self, packet, flood_remove);
    return self->came_us;
}

void flood_put_back(Flood *self, const Packet *packet)
{
    if (self && self->capture) {
        self->added_us = self->came_us = g_get_monotonic_time();
        flood_each_digest(self, packet, flood_add);
    }
}

uint64_t flood_waiting(Flood *self)
{
    if (!self || !self->capture) {
        return 0;
    }
    flood_look(self);
    return dedup_count(self->seen);
}

uint64_t flood_brought(Flood *self)
{
    flood_look(self);
    return self ? self->brought : 0;
}

void flood_ignore_dropped(Flood *self, uint64_t n)
{
    if (self) {
        self->counters.tx_dropped += n;
    }
}
