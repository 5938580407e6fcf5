/* SPDX-License-Identifier: BSD-2-Clause */
#include "switchover/source.h"

#include "base/log.h"
#include "switchover/source-internal.h"

/* Entries of a used ring read at a time: of QEMU's 256, some may just be
 * overwritten. */
#define USED_AT_ONCE 64
/* How often a sample is read again, at the most, because frames came
 * meanwhile. */
#define READS_MAX 4
/* The longest interval of samples while frames are pending. */
#define SAMPLE_MAX_US 20000
/* A stop makes room in a full queue at most so long before or after the time
 * that the VMM reports. */
#define STOP_MARGIN_US 1000
/* How long all frames are kept while the run state of the VM is not known; up
 * to send-queue-size. */
#define BLIND_US 5000000

void source_phase(Source *self, SwitchoverPhase phase)
{
    switchover_set_phase(&self->record, self->config.name, phase);
}

void source_schedule(Source *self)
{
    if (!self->sampler.armed) {
        loop_timer_set(&self->sampler, self->sample_us);
    }
}

/* Samples */

/* @n entries of a used ring were written in @time_us: the time until
 * USED_AT_ONCE more are, which have to be read before they are overwritten. */
static uint64_t source_pace(unsigned n, int64_t time_us)
{
    return CLAMP((uint64_t)time_us * USED_AT_ONCE / MAX(n, 1),
                 SOURCE_SAMPLE_LEAST_US, SOURCE_SAMPLE_US);
}

/* How many frames the guest has received in queue @i by its used index @used,
 * @time_us after the last sample. */
static uint16_t source_used_frames(Source *self, unsigned i, uint16_t used,
                                   int64_t time_us)
{
    UsedFrames *frames = &self->used[i];
    uint32_t lengths[VM_RING_MAX];
    uint16_t wanted;
    bool read;

    if (i >= self->n_used) {
        used_frames_restart(frames, used, self->nic->header);
    }
    wanted = used_frames_wanted(frames, used);
    self->pace_us = MIN(self->pace_us, source_pace(wanted, time_us));
    read = wanted > 0 &&
           vm_nic_used_lengths(self->nic, i, frames->index, wanted, lengths);
    if (!used_frames_sample(frames, used, read ? lengths : NULL)) {
        ledger_new_index(&self->ledger);
    }
    return used_frames_count(frames);
}

/* Converts the used indices of the sample into frames; it was taken @time_us
 * after the last one. */
static void source_count_used(Source *self, int64_t time_us)
{
    LedgerSample *sample = &self->sample;

    self->pace_us = SOURCE_SAMPLE_US;
    if (self->nic->epoch != self->nic_epoch) {
        self->nic_epoch = self->nic->epoch;
        self->n_used = 0;
        ledger_new_index(&self->ledger);
    }
    sample->used = 0;
    for (unsigned i = 0; i < MIN(sample->n_used, self->n_captures); i++) {
        sample->queue_used[i] =
            source_used_frames(self, i, sample->queue_used[i], time_us);
        sample->used = (uint16_t)(sample->used + sample->queue_used[i]);
    }
    self->n_used = sample->n_used;
    sample->used_known = sample->n_used > 0;
}

void source_pause(Source *self, bool paused)
{
    for (unsigned i = 0; i < self->n_captures; i++) {
        capture_pause(self->captures[i], paused);
    }
}

void source_drain(Source *self)
{
    for (unsigned i = 0; i < self->n_captures; i++) {
        capture_drain(self->captures[i]);
    }
}

/* Reads the used indices and the counters, and processes all frames captured by
 * then; false if there are no counters. */
static bool source_read(Source *self)
{
    LedgerSample *sample = &self->sample;
    LinkCounters before;

    source_drain(self);
    ledger_counted(&self->ledger);
    if (!tap_read_counters(self->config.tap, &before)) {
        return false;
    }
    sample->time_us = g_get_monotonic_time();
    G_STATIC_ASSERT(LEDGER_QUEUES_MAX == VM_QUEUES_MAX);
    sample->n_used = vm_nic_used(self->nic, sample->queue_used);
    if (!tap_read_counters(self->config.tap, &sample->counters)) {
        return false;
    }
    sample->used_stable = before.tx_packets == sample->counters.tx_packets;
    source_drain(self);
    return true;
}

bool source_take_sample(Source *self)
{
    int64_t last_us = self->sample.time_us;
    unsigned reads = 0;

    if (self->n_captures == 0) {
        return false;
    }
    do {
        if (!source_read(self)) {
            return false;
        }
    } while (++reads < READS_MAX &&
             ledger_should_read_again(&self->ledger, &self->sample.counters));
    source_count_used(self, self->sample.time_us - last_us);
    ledger_sample(&self->ledger, &self->sample);
    *self->config.exact = self->sample.used_known &&
                          ledger_is_exact(&self->ledger) &&
                          ledger_doubt(&self->ledger) == 0;
    return true;
}

static void source_disarm_if_idle(Source *self);

/* May the VM have been stopped ever since we began? */
static bool source_is_blind(const Source *self)
{
    return g_get_monotonic_time() < self->blind_until_us &&
           packet_queue_size(source_queue(self)) < self->config.send_queue_size;
}

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
        source_settle_destroyed(self);
        source_advance(self);
        if (!source_is_blind(self)) {
            source_trim(self);
        }
        source_disarm_if_idle(self);
    }
    self->sample_us = self->ledger.taken != taken || !self->ledger.certain
                          ? self->pace_us
                          : MIN(self->sample_us * 2, SAMPLE_MAX_US);
    if (self->n_captures > 0 &&
        (self->record.phase == SWITCHOVER_RETURNING ||
         (self->record.phase == SWITCHOVER_ARMED &&
          ledger_wants_sample(&self->ledger, self->sample.used_known)))) {
        source_schedule(self);
    }
}

/* Armed: remembering */

void source_reset_ledger(Source *self)
{
    ledger_init(&self->ledger, source_queue(self)->next,
                tap_queue_length(self->config.tap) + LEDGER_DESTROYED_MAX);
    if (tap_is_multi_queue(self->config.tap)) {
        ledger_set_multi(&self->ledger);
    }
    source_begin_delivered(self);
    self->folded = self->returned = 0;
}

static void source_capture_end(Source *self)
{
    while (self->n_captures > 0) {
        tap_remove_capture(self->config.tap,
                           self->captures[--self->n_captures]);
        used_frames_clear(&self->used[self->n_captures]);
    }
    self->n_used = 0;
}

static void source_capture(Source *self)
{
    unsigned n = tap_is_multi_queue(self->config.tap) ? LEDGER_QUEUES_MAX : 1;
    g_autoptr(GError) error = NULL;
    Capture *capture;

    while (self->n_captures < n) {
        CaptureQueues queues = {(uint16_t)self->n_captures,
                                (uint16_t)self->n_captures};

        if (self->n_captures == n - 1) {
            queues.last = UINT16_MAX;
        }
        capture = tap_add_queue_capture(self->config.tap, CAPTURE_TX, queues,
                                        &source_capture_handlers, self, &error);
        if (!capture) {
            log_error("switchover", "%s: %s", self->config.name,
                      error->message);
            source_capture_end(self);
            return;
        }
        self->captures[self->n_captures++] = capture;
    }
}

static void source_arm(Source *self)
{
    if (self->n_captures > 0 || !self->on) {
        return;
    }
    source_reset_ledger(self);
    if (self->record.phase != SWITCHOVER_SHIPPING) {
        self->accounted = packet_queue_head(source_queue(self));
    }
    source_capture(self);
    if (self->n_captures == 0) {
        return;
    }
    /* Again, as opening the captures has taken some time. */
    source_begin_delivered(self);
    self->blind_until_us =
        vm_may_stand(self->vm) ? g_get_monotonic_time() + BLIND_US : 0;
    source_take_sample(self);
    self->began = self->sample.counters;
    self->began_us = g_get_real_time();
    self->sample_us = SOURCE_SAMPLE_US;
    source_schedule(self);
    if (self->record.phase != SWITCHOVER_SHIPPING) {
        source_phase(self, SWITCHOVER_ARMED);
    }
}

/* Stops capturing; frames that are to be shipped still are. */
static void source_disarm(Source *self)
{
    if (self->n_captures == 0) {
        return;
    }
    loop_timer_cancel(&self->sampler);
    source_capture_end(self);
    *self->config.exact = false;
    if (self->record.phase != SWITCHOVER_SHIPPING) {
        source_forget(self);
        source_end_delivered(self);
        source_phase(self, SWITCHOVER_IDLE);
    }
}

void source_rearm(Source *self)
{
    if (self->record.phase == SWITCHOVER_ARMED) {
        source_forget(self);
        source_reset_ledger(self);
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

/* Sets *@overlap by the property overlap; true if that is to be used in any
 * case. */
static bool source_overlap(const Source *self, uint32_t *overlap)
{
    *overlap = self->config.overlap != PROP_AUTO ? self->config.overlap
               : self->vm == vm_daemon()         ? 0
                                                 : UINT32_MAX;
    return *overlap != UINT32_MAX;
}

/* The VM has just stopped: returns the first frame that the guest did not
 * receive. @again: in SWITCHOVER_RETURNING, a moment after a resume. */
static uint64_t source_find_first(Source *self, int64_t time_us, bool again,
                                  LedgerMethod *method)
{
    uint64_t number;
    uint32_t overlap;
    bool fixed;

    source_take_sample(self);
    source_advance(self);
    source_carry_lost(self);
    self->stop_heard_us = g_get_real_time();
    fixed = source_overlap(self, &overlap);
    ledger_made_room(&self->ledger,
                     source_first_since(self, time_us - STOP_MARGIN_US),
                     source_first_since(self, time_us + STOP_MARGIN_US));
    number = ledger_stop(&self->ledger, &self->sample, overlap, fixed, method);
    if (again) {
        source_abandon_return(self);
        number = self->stop_number;
    } else if (source_is_blind(self)) {
        number = source_queue(self)->head.number;
        ledger_begin_at(&self->ledger, number);
    } else {
        source_advance(self); /* counts drops that it knows now */
        if (self->ledger.queues_known) {
            number = source_begin(self, time_us + STOP_MARGIN_US);
        }
    }
    /* Frames of an earlier stop, which were given back since, are settled. */
    return MAX(number, again ? 0 : self->end_number);
}

/* Sends the records about the stop, and starts shipping at frame @number. */
static void source_ship(Source *self, uint64_t number)
{
    self->keep = self->vm->migration != VM_MIGRATION_COMPLETED;
    source_phase(self, SWITCHOVER_SHIPPING);
    if (!frame_writer_is_shipping(self->writer)) {
        if (self->found.parts > 0) {
            source_link_insist(self->link);
        }
        source_link_say(self->link, source_say_stop);
        frame_writer_start(self->writer, number);
    }
}

static void source_stop(Source *self, int64_t time_us)
{
    bool again = self->record.phase == SWITCHOVER_RETURNING;
    bool known =
        self->n_captures > 0 && self->record.phase == SWITCHOVER_SHIPPING;
    LedgerMethod method = LEDGER_COUNTERS;
    uint64_t number;

    source_arm(self);
    if (self->n_captures == 0 || known) {
        return; /* the VM has not run here since the last stop */
    }
    if (self->injector) {
        injector_set_gate(self->injector, false);
    }
    if (source_take_in(self, &number)) {
        self->stop_heard_us = 0; /* no resume was reported late */
        source_advance(self);
    } else {
        number = source_find_first(self, time_us, again, &method);
        self->found.known = false;
    }
    self->stop_us = time_us;
    number = MAX(number, source_queue(self)->head.number);
    source_unaccount(self, number);
    self->tap_full_at_stop = self->account.dropped[DROP_TAP_FULL].packets;
    self->stop_number = number;
    source_set_place(self, self->found.known ? source_queue(self)->head.number +
                                                   self->found.count
                                             : number);
    source_settle_delivered(self);
    record_stop(&self->record, time_us, source_queue(self), number);
    if (self->ledger.multi && !self->ledger.queues_known) {
        method = LEDGER_COUNTERS;
    }
    self->record.method =
        method == LEDGER_USED_INDEX ? "used-index" : "counters";
    log_info("switchover",
             "%s: the VM stopped: %" G_GUINT64_FORMAT " frames captured, taken "
             "%" G_GUINT64_FORMAT ", first to ship %" G_GUINT64_FORMAT
             " (by %s)",
             self->config.name, ledger_entered(&self->ledger),
             self->ledger.taken, number, self->record.method);
    source_ship(self, number);
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
            self->ran = true;
            self->blind_until_us = 0;
            source_resume(self, time_us);
        } else {
            source_stop(self, time_us);
        }
        break;
    case VM_EVENT_MIGRATION:
        if (self->vm->migration == VM_MIGRATION_COMPLETED) {
            self->keep = false;
            source_release(self);
        }
        break;
    case VM_EVENT_GONE:
        self->keep = false;
        source_release(self);
        break;
    }
    if (self->vm->running && source_should_arm(self)) {
        source_arm(self);
        if (!self->delivered) { /* it was not known to run */
            source_begin_delivered(self);
        }
    } else if (self->record.phase == SWITCHOVER_ARMED) {
        source_schedule(self);
    }
}

static void source_tap_changed(void *opaque, bool renewed)
{
    Source *self = opaque;

    if (renewed && self->n_captures > 0) {
        /* It is another interface; the content of the old one is gone. */
        meter_reset(&self->ledger.meter);
        source_rearm(self);
    }
}

void source_set_on(Source *self, bool on)
{
    bool running = self->vm->running || !self->vm->known;

    self->on = on;
    self->ran |= self->vm->known && self->vm->running;
    if (!on) {
        source_disarm(self);
    } else if (!running) {
        source_stop(self, g_get_real_time());
    } else if (source_should_arm(self)) {
        source_arm(self);
    }
    keeper_set_on(self->keeper, on);
}

Source *source_new(const SourceConfig *config, GError **errp)
{
    Source *self = g_new0(Source, 1);
    FrameWriterConfig writer = {
        .chardev = config->chardev,
        .vnet_len = config->vnet_len,
        .limit = config->send_queue_size,
        .policy = config->on_full,
        .queue_without_peer = true,
        .retain = true,
    };

    self->config = *config;
    self->vm = tap_netdev(config->tap)->vm;
    self->record.side = "source";
    self->sampler = LOOP_TIMER_INIT;
    self->sample_us = self->pace_us = SOURCE_SAMPLE_US;
    self->writer =
        frame_writer_new(&writer, &source_writer_handlers, self, errp);
    if (!self->writer) {
        g_free(self);
        return NULL;
    }
    self->link =
        source_link_new(config->name, config->acknowledge, config->vnet_len > 0,
                        self->writer, source_say_stop, self);
    loop_timer_open(&self->sampler, source_tick, self);
    self->nic = vm_nic_new(self->vm, tap_ifname(config->tap));
    self->vm_listener = (VmListener){source_vm_event, self};
    vm_listen(self->vm, &self->vm_listener);
    self->tap_listener = (TapListener){source_tap_changed, self};
    tap_listen(config->tap, &self->tap_listener);
    /* Samples run after the VM's event was processed. */
    self->keeper = keeper_new(config->name, config->tap, config->keep_tap_ms);
    return self;
}

void source_free(Source *self)
{
    if (!self) {
        return;
    }
    keeper_free(self->keeper);
    tap_unlisten(self->config.tap, &self->tap_listener);
    vm_unlisten(self->vm, &self->vm_listener);
    vm_nic_free(self->nic);
    loop_timer_close(&self->sampler);
    source_capture_end(self);
    injector_free(self->injector);
    source_end_delivered(self);
    source_link_end(self->link);
    frame_writer_free(self->writer);
    source_link_free(self->link);
    g_free(self);
}

const SwitchoverRecord *source_record(const Source *self)
{
    return &self->record;
}

json_t *source_link(const Source *self)
{
    json_t *link = source_link_to_json(self->link);

    json_object_set_new(link, "found",
                        json_integer((json_int_t)self->found.parts));
    return link;
}
