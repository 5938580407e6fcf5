/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The source: starts beside a VM that is stopped already, perhaps in the place
 * of a daemon that was killed. What that one had captured is gone, and nobody
 * has seen the frames since; but the TAP's queues hold as many of both as there
 * was room for. So these are drained, in order, and injected again at once, and
 * the ones from before our capture are shipped as if it had captured them: they
 * were found. The TAP does not tell which of its queues a descriptor of the VMM
 * belongs to, nor which one an injected frame enters.
 */
#include "base/error.h"
#include "base/log.h"
#include "netdev/drain.h"
#include "switchover/found.h"
#include "switchover/source-internal.h"

/* It is repeated for so long until no frame arrives meanwhile, and only if at
 * most so many did. */
#define ROUNDS_US 10000
#define BETWEEN_MAX 64
/* Frames go on arriving: so often the queues are drained until they are empty.
 */
#define LOOKS_MAX 256
/* The VMM of a stopped VM takes at most so many frames out of each queue. */
#define TAKEN_MAX 2

typedef struct TakeIn {
    Source *source;
    Drain *drain;
    unsigned n_queues;
    PacketQueue drained[LEDGER_QUEUES_MAX]; /* of each queue, in this round */
    uint64_t took;     /* frames that the VMM has taken in this round */
    LedgerFound found; /* so far; its counters were read when the queues were
                          empty */
    bool runs;         /* the VMM takes frames as that of a running VM does */
    int64_t end_us;    /* of the rounds, monotonic */
} TakeIn;

static void take_in_frame(void *opaque, const Packet *packet)
{
    TakeIn *self = opaque;

    /* Its queue is the index of a descriptor, not the TAP's. */
    packet_queue_append(&self->drained[packet->queue], packet)->queue = 0;
}

static uint64_t take_in_count_drained(const TakeIn *self)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < self->n_queues; i++) {
        n += packet_queue_count(&self->drained[i]);
    }
    return n;
}

static uint64_t take_in_memory(const TakeIn *self)
{
    uint64_t bytes = packet_queue_size(source_queue(self->source));

    for (unsigned i = 0; i < self->n_queues; i++) {
        bytes += packet_queue_size(&self->drained[i]);
    }
    return bytes;
}

/* Drains until the queues are empty at a moment when @counters are read and all
 * frames that have arrived are captured. False: not within LOOKS_MAX. */
static bool take_in_until_empty(TakeIn *self, LinkCounters *counters)
{
    const PacketQueue *captured = source_queue(self->source);
    uint64_t drained, seen;

    for (unsigned looks = 0; looks < LOOKS_MAX; looks++) {
        drained = take_in_count_drained(self);
        seen = captured->next;
        drain_run(self->drain);
        if (!tap_read_counters(self->source->config.tap, counters)) {
            return false;
        }
        source_drain(self->source);
        if (take_in_count_drained(self) == drained && captured->next == seen) {
            return true;
        }
    }
    return false;
}

/* Starts a round: drains all queues. Frames that have left them otherwise since
 * the counters were last read, the VMM has taken. False: frames may be left. */
static bool take_in_drain(TakeIn *self)
{
    LinkCounters *counters = &self->found.counters;
    uint64_t before = counters->tx_packets, left, n;

    for (unsigned i = 0; i < self->n_queues; i++) {
        packet_queue_clear(&self->drained[i]);
    }
    if (!take_in_until_empty(self, counters)) {
        return false;
    }
    left = counters->tx_packets - before;
    n = take_in_count_drained(self);
    self->took = left - MIN(left, n);
    return true;
}

/* Up to PACKET_BATCH_MAX frames of @queue from @cursor on. */
static unsigned take_in_batch(const PacketQueue *queue, PacketCursor cursor,
                              Packet *packets)
{
    PacketRecord *record;
    unsigned n = 0;

    while (n < PACKET_BATCH_MAX && (record = packet_queue_at(queue, &cursor))) {
        packets[n] = packet_record_view(record);
        packets[n++].headroom = 0; /* it has the link's header */
        packet_cursor_advance(&cursor);
    }
    return n;
}

/* Injects the frames of @queue from @number on, until one finds the TAP's queue
 * full; with several queues all of them, since others may have room. Returns
 * how many were accepted; *@full is the number of the first that was not. */
static uint64_t take_in_put_back(TakeIn *self, const PacketQueue *queue,
                                 uint64_t number, uint64_t *full)
{
    PacketCursor from = packet_queue_head(queue);
    Packet packets[PACKET_BATCH_MAX];
    uint64_t put = 0;
    unsigned n, done;

    while (from.number < number && packet_queue_at(queue, &from)) {
        packet_cursor_advance(&from);
    }
    *full = UINT64_MAX;
    while ((n = take_in_batch(queue, from, packets)) > 0) {
        done = injector_put(self->source->injector, packets, n);
        put += done;
        for (unsigned i = 0; i < done; i++) {
            packet_cursor_advance(&from);
        }
        if (done < n) {
            *full = MIN(*full, from.number);
            if (self->n_queues == 1) {
                break;
            }
            packet_cursor_advance(&from);
        }
    }
    *full = MIN(*full, from.number);
    return put;
}

/* Injects what was drained in this round; returns how many were accepted. */
static uint64_t take_in_undo(TakeIn *self)
{
    uint64_t put = 0, full;

    for (unsigned i = 0; i < self->n_queues; i++) {
        put += take_in_put_back(self, &self->drained[i], 0, &full);
    }
    return put;
}

/* Sets how many frames of each queue were found; returns their sum. */
static uint64_t take_in_count_found(const TakeIn *self, uint64_t *found)
{
    const PacketQueue *captured = source_queue(self->source);
    uint64_t dropped =
        self->found.counters.tx_dropped - self->source->began.tx_dropped;
    uint64_t most = packet_queue_count(captured), n, sum = 0;

    most -= MIN(dropped, most);
    for (unsigned i = 0; i < self->n_queues; i++) {
        n = found_count_captured(&self->drained[i], captured, most);
        most -= n;
        found[i] = packet_queue_count(&self->drained[i]) - n;
        sum += found[i];
    }
    return sum;
}

/* The VMM has taken @n more frames: if these are many the VM runs, and has
 * received them. */
static void take_in_taken(TakeIn *self, uint64_t n)
{
    self->runs |= n > (uint64_t)TAKEN_MAX * self->n_queues;
    self->found.taken += n;
    self->found.swallowed = self->runs ? 0 : self->found.taken;
    self->found.idle = self->runs || (self->found.idle && n == 0);
}

/* Injects all records that the VMM has not taken; or just what was drained,
 * where it is not known which ones those are: it took some in this round, while
 * others arrived, or some of one of several queues. */
static void take_in_put(TakeIn *self)
{
    const PacketQueue *queue = source_queue(self->source);
    LedgerFound *found = &self->found;

    found->full = queue->head.number + found->taken;
    if (self->took > 0 || self->runs ||
        (self->n_queues > 1 && found->taken > 0)) {
        found->content = take_in_undo(self);
    } else {
        found->content =
            take_in_put_back(self, queue, found->full, &found->full);
    }
}

/* Since the queues were empty some frames were injected, @refused were refused,
 * and the records from number @seen on were captured. Updates what the queues
 * hold, and what the VMM has taken. */
static void take_in_count(TakeIn *self, uint64_t refused, uint64_t seen)
{
    LinkCounters empty = self->found.counters;
    const PacketQueue *queue = source_queue(self->source);
    uint64_t captured, dropped, left;
    unsigned looks = 0;

    do {
        captured = queue->next - seen;
        tap_read_counters(self->source->config.tap, &self->found.counters);
        source_drain(self->source);
    } while (queue->next - seen != captured && ++looks < LOOKS_MAX);
    dropped = self->found.counters.tx_dropped - empty.tx_dropped;
    dropped -= MIN(refused, dropped);
    self->found.content += captured - MIN(dropped, captured);
    left = MIN(self->found.counters.tx_packets - empty.tx_packets,
               self->found.content);
    self->found.content -= left;
    take_in_taken(self, left);
}

/* Fills the queues again, in rounds, until they hold all records in order that
 * the VMM has not taken, as far as there is room. */
static void take_in_settle(TakeIn *self)
{
    Source *source = self->source;
    const PacketQueue *queue = source_queue(source);
    uint64_t seen, refused, between;
    bool again;

    do {
        seen = queue->next;
        refused = injector_counts(source->injector).refused;
        take_in_put(self);
        source_drain(source);
        between = queue->next - seen;
        again = (between > 0 || self->took > 0) && between <= BETWEEN_MAX &&
                !self->runs && g_get_monotonic_time() < self->end_us;
        if (again) {
            self->runs = !take_in_drain(self);
            take_in_taken(self, self->took);
        }
    } while (again);
    refused = injector_counts(source->injector).refused - refused;
    take_in_count(self, refused, seen);
}

/* All queues are drained, and @found of the frames were found. True if it is
 * known how many frames the VMM has taken before those: not if these are many,
 * so that the VM runs, or did since our capture began. Sets @found. */
static bool take_in_is_known(TakeIn *self, uint64_t found)
{
    const Source *source = self->source;
    uint64_t n = take_in_count_drained(self);
    uint64_t left = self->found.counters.tx_packets - source->began.tx_packets;
    uint64_t captured = packet_queue_count(source_queue(source));
    uint64_t lacks = captured - MIN(n - found, captured);
    uint64_t most = (uint64_t)TAKEN_MAX * self->n_queues;

    left -= MIN(n, left);
    self->found.idle = found > 0 && left == 0;
    self->found.taken = self->found.swallowed =
        found > 0 ? 0 : MIN(left, lacks);
    return self->took <= most && (found > 0 || left <= most) &&
           take_in_memory(self) < source->config.send_queue_size;
}

static bool take_in_run(TakeIn *self, uint64_t *number)
{
    Source *source = self->source;
    uint64_t found[LEDGER_QUEUES_MAX] = {0}, sum = 0, taken;
    InjectCounts counts;
    bool drained =
        tap_read_counters(source->config.tap, &self->found.counters) &&
        take_in_drain(self);

    if (drained) {
        sum = take_in_count_found(self, found);
    }
    if (!drained || !take_in_is_known(self, sum)) {
        take_in_undo(self);
        return false;
    }
    taken = self->found.counters.tx_packets - take_in_count_drained(self);
    source_rebuild(source, self->drained, found, self->n_queues);
    take_in_settle(self);
    counts = injector_counts(source->injector);
    source->found.known = true;
    source->found.count = sum;
    source->found.taken = taken;
    source->found.again = counts.accepted + counts.refused;
    *number = ledger_found(&source->ledger, &self->found);
    log_info("switchover",
             "%s: takes in %" G_GUINT64_FORMAT
             " frames that lay in the queue of %s when it began",
             source->config.name, sum, tap_ifname(source->config.tap));
    return true;
}

/* True if the VM was stopped before we started, and is not an incoming one. */
static bool take_in_is_needed(const Source *self)
{
    return !self->ran && !self->vm->running && !self->vm->incoming &&
           vm_pid(self->vm) > 0 && self->record.phase == SWITCHOVER_ARMED;
}

static bool take_in_open(TakeIn *self, GError **errp)
{
    Source *source = self->source;

    self->drain = drain_new(source->config.tap, vm_pid(source->vm),
                            take_in_frame, self, errp);
    if (!self->drain) {
        return false;
    }
    self->n_queues = drain_queues(self->drain);
    if (self->n_queues > LEDGER_QUEUES_MAX) {
        drain_free(self->drain);
        return tf_error_set(errp, "it has more than %d queues",
                            LEDGER_QUEUES_MAX);
    }
    for (unsigned i = 0; i < self->n_queues; i++) {
        packet_queue_init(&self->drained[i]);
    }
    return true;
}

static void take_in_close(TakeIn *self)
{
    for (unsigned i = 0; i < self->n_queues; i++) {
        packet_queue_free(&self->drained[i]);
    }
    drain_free(self->drain);
}

bool source_take_in(Source *self, uint64_t *number)
{
    g_autoptr(GError) error = NULL;
    TakeIn take = {.source = self,
                   .end_us = g_get_monotonic_time() + ROUNDS_US};
    bool known = false;

    if (!take_in_is_needed(self) || !source_open_injector(self)) {
        return false;
    }
    self->ran = true;
    if (take_in_open(&take, &error)) {
        known = take_in_run(&take, number);
        take_in_close(&take);
    } else {
        log_warning("switchover",
                    "%s: what lay in the queue of %s when it began is lost if "
                    "the VM moves now: %s",
                    self->config.name, tap_ifname(self->config.tap),
                    error->message);
    }
    return known;
}
