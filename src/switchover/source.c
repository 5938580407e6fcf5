/* SPDX-License-Identifier: BSD-2-Clause */
#include "switchover/source.h"

#include "base/log.h"
#include "base/loop.h"
#include "netdev/injector.h"
#include "switchover/ledger.h"

/* How soon a sample follows a capture, and the slowest pace of samples while
 * frames stay pending. */
#define SAMPLE_US 1000
#define SAMPLE_MAX_US 20000
/* A gap longer than that is not numbered frame by frame. */
#define GAP_MAX 65536
/* Samples after a resume until what was swallowed counts as lost. */
#define SETTLE_SAMPLES 30

/* PacketRecord.mark */
enum {
    RECORD_SHIPPED = 1 << 0,
    RECORD_RETURNED = 1 << 1,  /* injected by us, found the queue full */
    RECORD_SWALLOWED = 1 << 2, /* injected by us, swallowed by the VMM */
    RECORD_COUNTED = 1 << 3,   /* no bytes, counted as dropped already */
    RECORD_NO_ROOM = 1 << 4,   /* no bytes: there was no memory left for them */
};

struct Source {
    SourceConfig config;
    FrameWriter *writer;
    Capture *capture;   /* NULL: not armed */
    Injector *injector; /* gives frames back; made when needed */
    Vm *vm;
    VmNic *nic;
    VmListener vm_listener;
    TapListener tap_listener;
    LoopTimer sampler;
    uint64_t sample_us;
    bool on;
    Ledger ledger;
    LedgerSample sample;  /* the last */
    uint64_t stop_number; /* first frame shipped at the last stop */
    uint64_t end_number;  /* first frame after the resume */
    uint32_t stop_swallowed;
    unsigned settling; /* samples left until swallowed frames count as lost */
    uint32_t settle_least;  /* the fewest swallowed that a sample showed */
    PacketCursor accounted; /* up to here frames are delivered or dropped */
    uint64_t folded;        /* ledger.dropped_before, accounted */
    uint64_t returned;      /* of these, given back by us: passed already */
    bool catching_up; /* the queue was full at the resume, and is not empty */
    uint64_t counted_missing; /* records counted as dropped, yet to pass */
    Account account;
    SwitchoverRecord record;
};

static const PacketQueue *source_queue(const Source *self)
{
    return frame_writer_queue(self->writer);
}

static void source_phase(Source *self, SwitchoverPhase phase)
{
    switchover_set_phase(&self->record, self->config.name, phase);
}

/* Captured frames */

static void source_schedule(Source *self)
{
    if (!self->sampler.armed) {
        loop_timer_set(&self->sampler, self->sample_us);
    }
}

/* No room for @packet while shipping. Its number it has in any case. */
static void source_append_full(Source *self, const Packet *packet)
{
    if (self->config.on_full == FULL_BLOCK) {
        frame_writer_append_always(self->writer, packet);
        capture_pause(self->capture, true);
        return;
    }
    frame_writer_append_missing(self->writer)->mark = RECORD_COUNTED;
    counter_add(&self->account.dropped[DROP_QUEUE_FULL], 1, packet->len);
    self->counted_missing++;
}

/* Frames that were shipped, and are kept in case the VM resumes here, may
 * take as much memory as those that wait. */
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

static void source_ship(Source *self)
{
    Counter waiting;

    frame_writer_run(self->writer);
    waiting = frame_writer_waiting(self->writer);
    if (waiting.packets > self->record.held_most.packets) {
        self->record.held_most = waiting;
    }
    source_limit_memory(self);
}

/* While the VM runs: history. A guest that takes nothing for long makes it
 * grow; then frames get a number and no bytes. */
static void source_remember(Source *self, const Packet *packet)
{
    if (packet_queue_size(source_queue(self)) < self->config.send_queue_size) {
        frame_writer_append_always(self->writer, packet);
    } else {
        frame_writer_append_missing(self->writer)->mark = RECORD_NO_ROOM;
    }
}

static void source_rearm(Source *self);

static void source_captured(void *opaque, Direction direction,
                            const PacketBatch *batch)
{
    Source *self = opaque;
    bool shipping = self->record.phase == SWITCHOVER_SHIPPING;
    uint32_t longest = 0;

    (void)direction;
    for (unsigned i = 0; i < batch->n; i++) {
        const Packet *packet = &batch->packets[i];

        longest = MAX(longest, packet->len);
        counter_add(&self->account.in_netdev, 1, packet->len);
        if (!shipping) {
            source_remember(self, packet);
        } else if (frame_writer_append(self->writer, packet) !=
                   FRAME_APPEND_OK) {
            source_append_full(self, packet);
        }
    }
    ledger_captured(&self->ledger, batch->n, longest);
    self->sample_us = SAMPLE_US;
    source_schedule(self);
    if (shipping) {
        source_ship(self);
    } else if (packet_queue_size(source_queue(self)) >
               2 * self->config.send_queue_size) {
        source_rearm(self);
    }
    if (self->catching_up) {
        /* The sooner, the better it is known which of them were dropped. */
        loop_timer_set(&self->sampler, 1);
    }
}

static void source_lost(void *opaque, uint64_t n)
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
        frame_writer_append_missing(self->writer);
    }
    ledger_captured(&self->ledger, n, 0);
}

static const CaptureHandlers source_capture_handlers = {
    .packets = source_captured,
    .lost = source_lost,
};

/* Accounting */

/* Where accounting goes on. What was trimmed meanwhile is past it. */
static PacketCursor *source_accounted(Source *self)
{
    if (self->accounted.number < source_queue(self)->head.number) {
        self->accounted = packet_queue_head(source_queue(self));
    }
    return &self->accounted;
}

/* One frame that the ledger has passed while the VM runs. */
static void source_account_record(Source *self, const PacketRecord *record)
{
    if (record->mark & (RECORD_RETURNED | RECORD_SWALLOWED | RECORD_COUNTED)) {
        return; /* accounted when it is injected */
    }
    if (record->mark & RECORD_SHIPPED) {
        counter_add(&self->account.reinjected, 1, record->len);
    } else {
        counter_add(&self->account.delivered, 1, record->len);
    }
}

/* Moves the frames dropped by the full TAP over from delivered. Which they
 * were is known to within a sample; how many is exact. */
static void source_account_dropped(Source *self, uint64_t packets,
                                   uint64_t bytes_per_packet)
{
    uint64_t n = MIN(packets, self->account.delivered.packets);
    uint64_t bytes = MIN(n * bytes_per_packet, self->account.delivered.bytes);

    counter_sub(&self->account.delivered, n, bytes);
    counter_add(&self->account.dropped[DROP_TAP_FULL], n, bytes);
}

/* Brings the counters up to what the ledger knows. */
static void source_advance(Source *self)
{
    uint64_t packets = 0, bytes = 0, dropped;
    PacketRecord *record;

    while (self->accounted.number < self->ledger.taken &&
           (record =
                packet_queue_at(source_queue(self), source_accounted(self)))) {
        source_account_record(self, record);
        packets++;
        bytes += record->len;
        /* To the ledger these are dropped; here they were given back. */
        self->returned += (record->mark & RECORD_RETURNED) != 0;
        packet_cursor_advance(&self->accounted);
    }
    dropped = self->ledger.dropped_before - self->folded;
    if (dropped >= self->returned && packets > 0) {
        source_account_dropped(self, dropped - self->returned, bytes / packets);
        self->folded = self->ledger.dropped_before;
        self->returned = 0;
    }
}

static void source_trim(Source *self)
{
    uint64_t keep = MIN(self->accounted.number, self->ledger.taken);

    frame_writer_trim(self->writer, keep - MIN(keep, LEDGER_HISTORY));
}

/* Samples */

static bool source_take_sample(Source *self)
{
    LedgerSample *sample = &self->sample;
    LinkCounters before;

    if (!self->capture || !tap_read_counters(self->config.tap, &before)) {
        return false;
    }
    sample->time_us = g_get_monotonic_time();
    sample->used_known = self->nic && vm_nic_used(self->nic, &sample->used);
    if (!tap_read_counters(self->config.tap, &sample->counters)) {
        return false;
    }
    sample->used_stable = before.tx_packets == sample->counters.tx_packets;
    capture_drain(self->capture);
    ledger_sample(&self->ledger, sample);
    return true;
}

static void source_settle(Source *self);
static void source_disarm_if_idle(Source *self);

static void source_tick(void *opaque)
{
    Source *self = opaque;
    uint64_t taken = self->ledger.taken;

    if (!source_take_sample(self)) {
        return;
    }
    if (self->record.phase == SWITCHOVER_RETURNING) {
        source_settle(self);
    }
    if (self->record.phase == SWITCHOVER_ARMED) {
        source_advance(self);
        source_trim(self);
        source_disarm_if_idle(self);
    }
    self->sample_us = self->ledger.taken != taken
                          ? SAMPLE_US
                          : MIN(self->sample_us * 2, SAMPLE_MAX_US);
    if (self->capture &&
        (self->record.phase == SWITCHOVER_RETURNING ||
         (self->record.phase == SWITCHOVER_ARMED &&
          ledger_wants_sample(&self->ledger, self->sample.used_known)))) {
        source_schedule(self);
    }
}

/* Armed: remembering */

static void source_arm(Source *self)
{
    g_autoptr(GError) error = NULL;

    if (self->capture || !self->on) {
        return;
    }
    ledger_init(&self->ledger, source_queue(self)->next);
    self->folded = self->returned = 0;
    if (self->record.phase != SWITCHOVER_SHIPPING) {
        self->accounted = packet_queue_head(source_queue(self));
    }
    self->capture = tap_add_capture(self->config.tap, CAPTURE_TX,
                                    &source_capture_handlers, self, &error);
    if (!self->capture) {
        log_error("switchover", "%s: %s", self->config.name, error->message);
        return;
    }
    source_take_sample(self);
    self->sample_us = SAMPLE_US;
    source_schedule(self);
    if (self->record.phase != SWITCHOVER_SHIPPING) {
        source_phase(self, SWITCHOVER_ARMED);
    }
}

/* What is still pending when nobody looks any more, the guest will take, but
 * for what is known to have found the queue full. */
static void source_forget(Source *self)
{
    uint64_t dropped = ledger_dropped(&self->ledger) - self->folded;
    PacketRecord *record;

    while ((record =
                packet_queue_at(source_queue(self), source_accounted(self)))) {
        source_account_record(self, record);
        packet_cursor_advance(&self->accounted);
    }
    source_account_dropped(self, dropped, 0);
    frame_writer_trim(self->writer, UINT64_MAX);
}

/* Captures no more. What is to be shipped already, still is. */
static void source_disarm(Source *self)
{
    if (!self->capture) {
        return;
    }
    loop_timer_cancel(&self->sampler);
    tap_remove_capture(self->config.tap, self->capture);
    self->capture = NULL;
    if (self->record.phase != SWITCHOVER_SHIPPING) {
        source_forget(self);
        source_phase(self, SWITCHOVER_IDLE);
    }
}

static void source_rearm(Source *self)
{
    if (self->record.phase == SWITCHOVER_ARMED) {
        source_forget(self);
        ledger_init(&self->ledger, source_queue(self)->next);
        self->folded = self->returned = 0;
    }
}

static bool source_should_arm(const Source *self)
{
    return self->config.arm_always || !self->vm->known ||
           self->vm->migration != VM_MIGRATION_NONE;
}

static void source_disarm_if_idle(Source *self)
{
    if (!source_should_arm(self) && ledger_pending(&self->ledger) == 0) {
        source_disarm(self);
    }
}

/* Stopped: shipping */

/* Takes back the accounting of frames that the guest did not get after all,
 * from @number on. */
static void source_unaccount(Source *self, uint64_t number)
{
    PacketCursor cursor = packet_queue_head(source_queue(self)), from;
    uint64_t packets = 0, bytes = 0, unfolded, dropped_bytes;
    PacketRecord *record;

    while (cursor.number < number &&
           packet_queue_at(source_queue(self), &cursor)) {
        packet_cursor_advance(&cursor);
    }
    from = cursor;
    while (cursor.number < self->accounted.number &&
           (record = packet_queue_at(source_queue(self), &cursor))) {
        packets++;
        bytes += record->len;
        packet_cursor_advance(&cursor);
    }
    /* What the ledger no longer counts as dropped was not delivered either. */
    unfolded = MIN(self->folded - self->ledger.dropped_before, packets);
    dropped_bytes = packets ? bytes / packets * unfolded : 0;
    counter_sub(&self->account.dropped[DROP_TAP_FULL], unfolded, dropped_bytes);
    counter_sub(&self->account.delivered, packets - unfolded,
                bytes - dropped_bytes);
    self->folded = self->ledger.dropped_before;
    self->returned = 0;
    self->accounted = from;
}

static uint32_t source_overlap(const Source *self)
{
    if (self->config.overlap != PROP_AUTO) {
        return self->config.overlap;
    }
    return self->vm == vm_daemon() ? 0 : UINT32_MAX;
}

static void source_stop(Source *self, int64_t time_us)
{
    LedgerMethod method;
    uint64_t number, oldest;

    source_arm(self);
    if (!self->capture) {
        return;
    }
    source_take_sample(self);
    source_advance(self);
    if (!ledger_swallowed(&self->ledger, &self->sample,
                          &self->stop_swallowed)) {
        self->stop_swallowed = 0;
    }
    number = ledger_stop(&self->ledger, &self->sample, source_overlap(self),
                         self->config.overlap != PROP_AUTO, &method);
    oldest = source_queue(self)->head.number;
    number = MAX(number, oldest);
    source_unaccount(self, number);
    self->stop_number = number;
    self->record.stop_us = time_us;
    self->record.resume_us = 0;
    self->record.first_us = self->record.last_us = 0;
    self->record.method =
        method == LEDGER_USED_INDEX ? "used-index" : "counters";
    log_info("switchover",
             "%s: the VM stopped: %" G_GUINT64_FORMAT " frames captured, taken "
             "%" G_GUINT64_FORMAT ", first to ship %" G_GUINT64_FORMAT
             " (by %s)",
             self->config.name, ledger_entered(&self->ledger),
             self->ledger.taken, number, self->record.method);
    frame_writer_set_retain(self->writer,
                            self->vm->migration != VM_MIGRATION_COMPLETED);
    source_phase(self, SWITCHOVER_SHIPPING);
    if (!frame_writer_is_shipping(self->writer)) {
        frame_writer_start(self->writer, number);
    }
}

static void source_done(void *opaque, PacketRecord *record, FrameFate fate)
{
    Source *self = opaque;

    switch (fate) {
    case FRAME_SENT:
        record->mark |= RECORD_SHIPPED;
        counter_add(&self->account.outdev, 1, record->len);
        switchover_moved(&self->record, record->queued_us);
        break;
    case FRAME_UNSENDABLE:
        counter_add(&self->account.dropped[DROP_OVERSIZE], 1, record->len);
        break;
    case FRAME_MISSING:
        if (record->mark & RECORD_COUNTED) {
            self->counted_missing--;
        } else {
            counter_add(&self->account.dropped[record->mark & RECORD_NO_ROOM
                                                   ? DROP_QUEUE_FULL
                                                   : DROP_RING],
                        1, 0);
        }
        break;
    case FRAME_DROPPED:
        counter_add(&self->account.dropped[DROP_QUEUE_FULL], 1, record->len);
        break;
    }
}

static void source_room(void *opaque)
{
    Source *self = opaque;

    if (self->capture) {
        capture_pause(self->capture, false);
    }
}

static const FrameWriterHandlers source_writer_handlers = {
    .done = source_done,
    .room = source_room,
};

/* Resumed here: giving back */

static void source_injected(void *opaque, const PacketRecord *record)
{
    Source *self = opaque;

    counter_add(record->mark & RECORD_SHIPPED ? &self->account.reinjected
                                              : &self->account.delivered,
                1, record->len);
}

static void source_refused(void *opaque, const PacketRecord *record,
                           InjectResult why)
{
    Source *self = opaque;

    (void)why;
    if (!(record->mark & RECORD_SHIPPED)) {
        counter_add(&self->account.dropped[DROP_INJECT], 1, record->len);
    }
}

/* Our own samples tell what the queue holds. */
static uint64_t source_injector_room(void *opaque)
{
    Source *self = opaque;

    source_take_sample(self);
    return pace_share(self->ledger.content,
                      tap_queue_length(self->config.tap));
}

static void source_injector_counted(void *opaque, uint64_t accepted,
                                    uint64_t refused)
{
    Source *self = opaque;

    ledger_injected(&self->ledger, accepted, refused);
}

static const InjectorHandlers source_injector_handlers = {
    .injected = source_injected,
    .refused = source_refused,
    .room = source_injector_room,
    .counted = source_injector_counted,
};

/* Hands the frames [first, end) that @wanted picks to the injector. */
static void source_return(Source *self, uint64_t first, uint64_t end,
                          bool (*wanted)(const Ledger *, uint64_t), int mark)
{
    PacketCursor cursor = packet_queue_head(source_queue(self));
    PacketRecord *record;

    while (cursor.number < end &&
           (record = packet_queue_at(source_queue(self), &cursor))) {
        if (cursor.number >= first && record->len > 0 &&
            (!wanted || wanted(&self->ledger, cursor.number))) {
            Packet packet = packet_record_view(record);

            record->mark |= (uint32_t)mark;
            injector_append(self->injector, &packet)->mark = record->mark;
        }
        packet_cursor_advance(&cursor);
    }
    injector_run(self->injector);
}

static void source_resume(Source *self, int64_t time_us)
{
    g_autoptr(GError) error = NULL;

    if (self->record.phase != SWITCHOVER_SHIPPING) {
        return;
    }
    capture_pause(self->capture, false);
    source_take_sample(self);
    frame_writer_stop(self->writer);
    self->end_number = source_queue(self)->next;
    self->record.resume_us = time_us;
    source_phase(self, SWITCHOVER_RETURNING);
    if (!self->injector) {
        self->injector = injector_new(self->config.tap,
                                      &source_injector_handlers, self, &error);
    }
    if (!self->injector) {
        log_error("switchover", "%s: frames can not be given back: %s",
                  self->config.name, error->message);
    } else {
        injector_set_gate(self->injector, true);
        source_return(self, self->stop_number, self->end_number,
                      ledger_was_dropped, RECORD_RETURNED);
    }
    self->catching_up = true;
    self->settling = SETTLE_SAMPLES;
    self->settle_least = self->stop_swallowed;
    self->sample_us = SAMPLE_US;
    source_schedule(self);
}

/* The queue that the stop has filled still turns frames away for a moment
 * after the resume: these are given back, too. */
static void source_catch_up(Source *self)
{
    uint64_t end = source_queue(self)->next;

    if (!self->catching_up || !self->injector) {
        return;
    }
    source_return(self, self->end_number, end, ledger_was_dropped,
                  RECORD_RETURNED);
    self->end_number = end;
    if (ledger_pending(&self->ledger) <
        tap_queue_length(self->config.tap) / 2) {
        self->catching_up = false;
    }
}

/* What the VMM had swallowed it either delivers after the resume (QEMU's own
 * queue) or never (vhost): the used index tells. */
static bool source_settle_swallowed(Source *self)
{
    uint32_t swallowed;

    if (self->settling == 0) {
        return true;
    }
    self->settling--;
    if (!ledger_swallowed(&self->ledger, &self->sample, &swallowed)) {
        self->settle_least = 0;
    } else if (self->sample.used_stable) {
        self->settle_least = MIN(self->settle_least, swallowed);
    }
    if (self->settle_least > 0 && self->settling > 0) {
        return false;
    }
    if (self->settle_least > 0 && self->injector) {
        source_return(self, self->stop_number,
                      self->stop_number + self->settle_least, NULL,
                      RECORD_SWALLOWED);
    }
    self->settling = 0;
    ledger_restart(&self->ledger);
    return true;
}

static void source_settle(Source *self)
{
    source_catch_up(self);
    if (!source_settle_swallowed(self)) {
        return;
    }
    source_advance(self);
    if (!self->catching_up && self->accounted.number >= self->end_number &&
        (!self->injector ||
         packet_queue_count(injector_queue(self->injector)) == 0)) {
        source_phase(self, SWITCHOVER_ARMED);
    }
}

/* What the VM does */

static void source_vm_event(void *opaque, VmEvent event, int64_t time_us)
{
    Source *self = opaque;

    if (!self->on) {
        return;
    }
    switch (event) {
    case VM_EVENT_RUN_STATE:
        if (self->vm->running) {
            source_resume(self, time_us);
        } else {
            source_stop(self, time_us);
        }
        break;
    case VM_EVENT_MIGRATION:
        if (self->vm->migration == VM_MIGRATION_COMPLETED) {
            frame_writer_set_retain(self->writer, false);
        }
        break;
    case VM_EVENT_GONE:
        frame_writer_set_retain(self->writer, false);
        break;
    }
    if (self->vm->running && source_should_arm(self)) {
        source_arm(self);
    } else if (self->record.phase == SWITCHOVER_ARMED) {
        source_schedule(self);
    }
}

static void source_tap_changed(void *opaque, bool renewed)
{
    Source *self = opaque;

    if (renewed && self->capture) {
        /* Another interface: what the old one held is gone with it. */
        meter_reset(&self->ledger.meter);
        source_rearm(self);
    }
}

void source_set_on(Source *self, bool on)
{
    bool running = self->vm->running || !self->vm->known;

    self->on = on;
    if (!on) {
        source_disarm(self);
    } else if (!running) {
        source_stop(self, g_get_real_time());
    } else if (source_should_arm(self)) {
        source_arm(self);
    }
}

Source *source_new(const SourceConfig *config, GError **errp)
{
    Source *self = g_new0(Source, 1);
    FrameWriterConfig writer = {
        .chardev = config->chardev,
        .vnet = config->vnet,
        .limit = config->send_queue_size,
        .policy = config->on_full,
        .queue_without_peer = true,
        .retain = true,
    };

    self->config = *config;
    self->vm = tap_netdev(config->tap)->vm;
    self->record.side = "source";
    self->sampler = LOOP_TIMER_INIT;
    self->sample_us = SAMPLE_US;
    self->writer =
        frame_writer_new(&writer, &source_writer_handlers, self, errp);
    if (!self->writer) {
        g_free(self);
        return NULL;
    }
    loop_timer_open(&self->sampler, source_tick, self);
    self->nic = vm_nic_new(self->vm, tap_ifname(config->tap));
    self->vm_listener = (VmListener){source_vm_event, self};
    vm_listen(self->vm, &self->vm_listener);
    self->tap_listener = (TapListener){source_tap_changed, self};
    tap_listen(config->tap, &self->tap_listener);
    return self;
}

void source_free(Source *self)
{
    if (!self) {
        return;
    }
    tap_unlisten(self->config.tap, &self->tap_listener);
    vm_unlisten(self->vm, &self->vm_listener);
    vm_nic_free(self->nic);
    loop_timer_close(&self->sampler);
    tap_remove_capture(self->config.tap, self->capture);
    injector_free(self->injector);
    frame_writer_free(self->writer);
    g_free(self);
}

/* Adds the records from @cursor on that carry none of @marks. */
static void source_sum(const PacketQueue *queue, PacketCursor cursor,
                       uint32_t marks, Counter *sum)
{
    PacketRecord *record;

    while ((record = packet_queue_at(queue, &cursor))) {
        if (!(record->mark & marks)) {
            counter_add(sum, 1, record->len);
        }
        packet_cursor_advance(&cursor);
    }
}

Account source_account(Source *self)
{
    Account account = self->account;
    uint64_t unfolded, bytes;

    if (self->record.phase == SWITCHOVER_SHIPPING) {
        account.queued = frame_writer_waiting(self->writer);
        account.queued.packets -= self->counted_missing;
        return account;
    }
    source_sum(source_queue(self), *source_accounted(self),
               RECORD_SHIPPED | RECORD_RETURNED | RECORD_SWALLOWED |
                   RECORD_COUNTED,
               &account.pending);
    if (self->injector) {
        const PacketQueue *queue = injector_queue(self->injector);

        source_sum(queue, packet_queue_head(queue), RECORD_SHIPPED,
                   &account.pending);
    }
    if (self->record.phase == SWITCHOVER_ARMED && account.pending.packets) {
        /* Some of them are known to have found the queue full. */
        unfolded = ledger_dropped(&self->ledger) - self->folded;
        unfolded = MIN(unfolded, account.pending.packets);
        bytes = account.pending.bytes / account.pending.packets * unfolded;
        counter_sub(&account.pending, unfolded, bytes);
        counter_add(&account.dropped[DROP_TAP_FULL], unfolded, bytes);
    }
    return account;
}

const SwitchoverRecord *source_record(const Source *self)
{
    return &self->record;
}
