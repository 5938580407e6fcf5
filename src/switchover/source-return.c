/* SPDX-License-Identifier: BSD-2-Clause */
/* The source: the VM has resumed here, and is given the frames that it
 * lacks. */
#include "base/log.h"
#include "switchover/source-internal.h"

#include <string.h>

/* Samples after a resume until swallowed frames count as lost. */
#define SETTLE_SAMPLES 30
/* Additional ones while the queue has never been seen empty. */
#define DOUBT_SAMPLES 200

/* The most time from a resume until the VMM takes frames. */
#define RESUME_MARGIN_US 2000

/* After this time a guest that never empties its queue is not waited for. */
#define RETURN_MAX_US 2000000

static bool source_is_overdue(const Source *self)
{
    return g_get_monotonic_time() - self->return_us > RETURN_MAX_US;
}

/* A copy in the injector has a pointer to its original in the headroom, which
 * it does not need. Originals are not trimmed while frames are given back. */
static void copy_set_original(PacketRecord *copy, PacketRecord *original)
{
    G_STATIC_ASSERT(sizeof(original) <= sizeof(copy->headroom));
    memcpy(copy->headroom, &original, sizeof(original));
}

static PacketRecord *copy_get_original(const PacketRecord *copy)
{
    PacketRecord *original;

    memcpy(&original, copy->headroom, sizeof(original));
    return original;
}

/* Is @copy still to be accounted for? Not if its original was shipped, or
 * counts as delivered already, and is given back only because it may not have
 * been. */
static bool copy_is_pending(const PacketRecord *copy)
{
    return !(copy_get_original(copy)->mark & (RECORD_SHIPPED | RECORD_GIVEN));
}

static void source_injected(void *opaque, const PacketRecord *record)
{
    Source *self = opaque;

    source_count_given(self, copy_get_original(record));
    source_expect_injected(self, record->len);
}

static void source_refused(void *opaque, const PacketRecord *record,
                           InjectResult why)
{
    Source *self = opaque;

    if (copy_is_pending(record)) {
        counter_add(&self->account.dropped[DROP_INJECT], 1, record->len);
    }
}

/* By the samples of the ledger. */
static uint64_t source_injector_room(void *opaque)
{
    Source *self = opaque;
    PaceQueue queue = {tap_queue_length(self->config.tap), 0};

    source_take_sample(self);
    if (source_is_overdue(self)) {
        /* Frames of such a guest are dropped anyhow. */
        return queue.length - MIN(self->ledger.content, queue.length);
    }
    return pace_share(self->ledger.content, queue,
                      packet_queue_count(injector_queue(self->injector)));
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

/* Is @record to be given back? @wanted, but with several queues the ledger
 * knows more, unless the stop was reported after the resume. */
static bool source_wants(const Source *self, const PacketRecord *record,
                         uint64_t serial, uint64_t number,
                         bool (*wanted)(const Ledger *, uint64_t), int mark)
{
    const Ledger *ledger = &self->ledger;

    if (!ledger->queues_known || self->unheard) {
        return wanted(ledger, number);
    }
    if (record->mark & RECORD_HAD) {
        return false;
    }
    /* A frame that was given back as dropped is not also lost. */
    return mark == RECORD_RETURNED
               ? ledger_queue_dropped(ledger, record->queue, serial, number)
               : !(record->mark & RECORD_RETURNED) &&
                     ledger_queue_lost(ledger, record->queue, serial,
                                       self->lost);
}

/* Passes those of the frames [first, end) that @wanted selects to the injector,
 * each only once: one that may have been dropped may also be one that may have
 * been swallowed. Not those that were shipped to a destination where the VM has
 * run. */
static void source_return(Source *self, uint64_t first, uint64_t end,
                          bool (*wanted)(const Ledger *, uint64_t), int mark)
{
    PacketCursor cursor = packet_queue_head(source_queue(self));
    uint64_t serials[LEDGER_QUEUES_MAX];
    PacketRecord *record, *copy;

    source_serials(self, serials);
    while (cursor.number < end &&
           (record = packet_queue_at(source_queue(self), &cursor))) {
        uint64_t serial = serials[record->queue]++;

        if (cursor.number >= first && record->len > 0 &&
            !(record->mark & (RECORD_RETURNED | RECORD_SWALLOWED)) &&
            (self->keep || !(record->mark & RECORD_SHIPPED)) &&
            source_wants(self, record, serial, cursor.number, wanted, mark)) {
            Packet packet = packet_record_view(record);

            record->mark |= (uint32_t)mark;
            if (record->mark & RECORD_INJECTED) {
                source_count_given(self, record);
            } else {
                copy = injector_append(self->injector, &packet);
                copy_set_original(copy, record);
            }
        }
        packet_cursor_advance(&cursor);
    }
    injector_run(self->injector);
}

uint64_t source_first_since(const Source *self, int64_t time_us)
{
    PacketCursor cursor = packet_queue_head(source_queue(self));
    uint64_t number = cursor.number;
    const PacketRecord *record;

    /* With several queues the order is not quite that of time. */
    while ((record = packet_queue_at(source_queue(self), &cursor))) {
        number += record->time_ns / 1000 < time_us;
        packet_cursor_advance(&cursor);
    }
    return number;
}

/* The VM had resumed before its stop was reported: what the guest has received
 * since does not tell what it lacked at the stop. */
static void source_go_back(Source *self)
{
    int64_t ago = g_get_real_time() - self->stop_us;
    uint64_t first = ledger_ran_unheard(
        &self->ledger, g_get_monotonic_time() - ago, self->unheard_first);

    first = MAX(first, self->end_number); /* of an earlier stop: settled */
    first = MAX(first, source_queue(self)->head.number);
    self->stop_number = MIN(self->stop_number, first);
    source_unaccount(self, self->stop_number);
    self->tap_full_at_stop = self->account.dropped[DROP_TAP_FULL].packets;
}

bool source_open_injector(Source *self)
{
    g_autoptr(GError) error = NULL;

    if (!self->injector) {
        self->injector = injector_new(self->config.tap,
                                      &source_injector_handlers, self, &error);
    }
    if (!self->injector) {
        log_error("switchover", "%s: frames can not be given back: %s",
                  self->config.name, error->message);
    }
    return self->injector;
}

void source_resume(Source *self, int64_t time_us)
{
    if (self->record.phase != SWITCHOVER_SHIPPING) {
        return;
    }
    source_pause(self, false);
    source_drain(self);
    self->seen_number = source_queue(self)->next;
    source_take_sample(self);
    self->unheard = time_us <= self->stop_heard_us;
    self->unheard_first = source_first_since(self, self->stop_us);
    self->unheard_end = source_first_since(self, time_us);
    ledger_resume(&self->ledger, self->unheard_end,
                  source_first_since(self, time_us + RESUME_MARGIN_US));
    if (self->unheard) {
        source_go_back(self);
    }
    frame_writer_stop(self->writer);
    source_link_cancel(self->link);
    self->end_number = source_queue(self)->next;
    record_resume(&self->record, time_us);
    source_phase(self, SWITCHOVER_RETURNING);
    self->return_us = g_get_monotonic_time();
    if (source_open_injector(self)) {
        injector_set_gate(self->injector, true);
        source_return(self, self->stop_number, self->end_number,
                      self->unheard ? ledger_may_be_dropped
                                    : ledger_was_dropped,
                      RECORD_RETURNED);
    }
    self->catching_up = true;
    self->settling = SETTLE_SAMPLES + DOUBT_SAMPLES;
    /* The VMM may have taken another frame after it reported the stop. */
    if (!ledger_swallowed(&self->ledger, &self->sample, &self->settle_least)) {
        self->settle_least = ledger_lost_most(&self->ledger);
    }
    self->sample_us = self->pace_us;
    source_schedule(self);
}

/* After the resume the queue that was filled during the stop still drops frames
 * for a moment: these are given back, too. A frame that came while one sample
 * was taken may be counted as dropped only by the next; and the injector takes
 * samples as well. So each round covers the frames of the last two. */
static void source_catch_up(Source *self)
{
    uint64_t end = source_queue(self)->next;
    bool caught_up = ledger_pending(&self->ledger) <
                         tap_queue_length(self->config.tap) / 2 ||
                     source_is_overdue(self);

    if (!self->catching_up || !self->injector) {
        return;
    }
    source_return(self, self->seen_number, end, ledger_was_dropped,
                  RECORD_RETURNED);
    self->seen_number = self->end_number;
    self->end_number = end;
    self->catching_up = !caught_up;
}

static void source_note_lost(Source *self, uint64_t first, uint64_t end)
{
    self->lost_first =
        self->lost_end > 0 ? MIN(self->lost_first, first) : first;
    self->lost_end = MAX(self->lost_end, end);
}

void source_carry_lost(Source *self)
{
    uint32_t destroyed, n;
    uint64_t first, end;

    ledger_find_destroyed(&self->ledger, &destroyed);
    n = MIN(destroyed, LEDGER_DESTROYED_MAX) + self->settle_least;
    if (self->settling == 0 || n == 0) {
        return;
    }
    ledger_lost(&self->ledger, n, &first, &end);
    if (self->unheard) {
        /* What was taken since then tells neither how many were taken at the
         * stop, nor where they were in the queue. */
        first = self->stop_number;
        end = self->unheard_end;
    } else {
        first = MAX(first, self->stop_number);
    }
    self->lost = MAX(self->lost, n);
    source_note_lost(self, first, end);
}

Counter source_returning(const Source *self)
{
    PacketCursor cursor = packet_queue_head(injector_queue(self->injector));
    const PacketRecord *copy;
    Counter sum = {0};

    while ((copy = packet_queue_at(injector_queue(self->injector), &cursor))) {
        if (copy_is_pending(copy)) {
            counter_add(&sum, 1, copy->len);
        }
        packet_cursor_advance(&cursor);
    }
    return sum;
}

void source_settle_destroyed(Source *self)
{
    uint32_t destroyed;

    if (self->ledger.stop_full &&
        ledger_find_destroyed(&self->ledger, &destroyed)) {
        ledger_destroyed(&self->ledger, destroyed);
    }
}

/* Of the frames that the guest had not received at the stop, the stop has
 * destroyed the oldest (vhost, the queue was full); those behind them the VMM
 * had swallowed, and delivers them after the resume (QEMU's own queue) or never
 * (vhost). The content of the queue and the used index tell how many. True if
 * that is settled. */
static bool source_settle_lost(Source *self)
{
    uint32_t swallowed, destroyed;
    bool told, doubt, overdue;

    if (self->settling == 0) {
        source_settle_destroyed(self);
        return true;
    }
    if (self->sample.used_stable &&
        ledger_swallowed(&self->ledger, &self->sample, &swallowed)) {
        self->settle_least = MIN(self->settle_least, swallowed);
    } else if (!ledger_is_exact(&self->ledger)) {
        /* Frames came too fast for the used ring to be read. */
        self->settle_least =
            MIN(self->settle_least, ledger_lost_most(&self->ledger));
    }
    told = ledger_find_destroyed(&self->ledger, &destroyed);
    doubt = ledger_doubt(&self->ledger) > 0;
    overdue = !told && self->settling == 1 && source_is_overdue(self);
    if ((!told && !overdue) || (doubt && self->settling > 1) ||
        ((self->settle_least > 0 || destroyed > 0) &&
         self->settling > DOUBT_SAMPLES)) {
        self->settling = MAX(self->settling - 1, 1);
        return false;
    }
    source_carry_lost(self);
    if (told) {
        ledger_destroyed(&self->ledger, destroyed);
    }
    if (self->injector) {
        source_return(self, self->lost_first, self->lost_end, ledger_was_queued,
                      RECORD_SWALLOWED);
    }
    self->lost_first = self->lost_end = self->lost = 0;
    self->settling = 0;
    ledger_restart(&self->ledger, self->settle_least);
    return true;
}

void source_settle(Source *self)
{
    source_catch_up(self);
    if (!source_settle_lost(self)) {
        return;
    }
    source_advance(self);
    if (!self->catching_up && self->accounted.number >= self->end_number &&
        (!self->injector ||
         packet_queue_count(injector_queue(self->injector)) == 0)) {
        ledger_forget_passed(&self->ledger);
        if (self->returned > self->ledger.dropped_before - self->folded) {
            /* Frames that were not dropped after all were given back. */
            self->folded = self->ledger.dropped_before;
            self->returned = 0;
        }
        source_phase(self, SWITCHOVER_ARMED);
    }
}

static void source_abandon(Source *self, PacketRecord *record, uint64_t number)
{
    bool given = record->mark & RECORD_GIVEN;

    if (record->mark & RECORD_HAD) {
        return;
    }
    source_uncount_given(self, record);
    if (given && (record->mark & (RECORD_RETURNED | RECORD_SWALLOWED))) {
        record->mark |= RECORD_INJECTED; /* it is in the TAP's queue, or was */
    } else if (record->mark & RECORD_SWALLOWED) {
        source_note_lost(self, number, number + 1);
    }
    record->mark &=
        RECORD_SHIPPED | RECORD_COUNTED | RECORD_NO_ROOM | RECORD_INJECTED;
}

void source_abandon_return(Source *self)
{
    PacketCursor cursor = packet_queue_head(source_queue(self));
    uint64_t tap_full =
        self->account.dropped[DROP_TAP_FULL].packets - self->tap_full_at_stop;
    PacketRecord *record;

    if (self->injector) {
        injector_clear(self->injector);
    }
    while ((record = packet_queue_at(source_queue(self), &cursor))) {
        if (cursor.number >= self->stop_number) {
            source_abandon(self, record, cursor.number);
        }
        packet_cursor_advance(&cursor);
    }
    /* Frames moved from delivered to dropped since the stop are shipped now,
     * too. */
    counter_add(&self->account.delivered, tap_full, 0);
    counter_sub(&self->account.dropped[DROP_TAP_FULL], tap_full, 0);
    self->catching_up = false;
    self->settling = 0;
}
