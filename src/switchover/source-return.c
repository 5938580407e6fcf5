/* SPDX-License-Identifier: BSD-2-Clause */
/* The source: the VM resumed here, so it gets back what it would miss. */
#include "base/log.h"
#include "switchover/source-internal.h"

#include <string.h>

/* Samples after a resume until what was swallowed counts as lost. */
#define SETTLE_SAMPLES 30

/* A copy in the injector names its original, in the room of the wire header
 * that it does not need. Originals stay while frames are given back. */
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

static void source_injected(void *opaque, const PacketRecord *record)
{
    Source *self = opaque;

    copy_get_original(record)->mark |= RECORD_GIVEN;
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
    PaceQueue queue = {tap_queue_length(self->config.tap), 0};

    source_take_sample(self);
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

/* Hands the frames [first, end) that @wanted picks to the injector. */
static void source_return(Source *self, uint64_t first, uint64_t end,
                          bool (*wanted)(const Ledger *, uint64_t), int mark)
{
    PacketCursor cursor = packet_queue_head(source_queue(self));
    PacketRecord *record, *copy;

    while (cursor.number < end &&
           (record = packet_queue_at(source_queue(self), &cursor))) {
        if (cursor.number >= first && record->len > 0 &&
            (!wanted || wanted(&self->ledger, cursor.number))) {
            Packet packet = packet_record_view(record);

            record->mark |= (uint32_t)mark;
            copy = injector_append(self->injector, &packet);
            copy->mark = record->mark;
            copy_set_original(copy, record);
        }
        packet_cursor_advance(&cursor);
    }
    injector_run(self->injector);
}

/* The first frame that came no earlier than @time_us. */
static uint64_t source_first_since(const Source *self, int64_t time_us)
{
    PacketCursor cursor = packet_queue_head(source_queue(self));
    const PacketRecord *record;

    while ((record = packet_queue_at(source_queue(self), &cursor)) &&
           record->time_ns / 1000 < time_us) {
        packet_cursor_advance(&cursor);
    }
    return cursor.number;
}

void source_resume(Source *self, int64_t time_us)
{
    g_autoptr(GError) error = NULL;

    if (self->record.phase != SWITCHOVER_SHIPPING) {
        return;
    }
    capture_pause(self->capture, false);
    source_take_sample(self);
    ledger_resume(&self->ledger, source_first_since(self, time_us));
    frame_writer_stop(self->writer);
    self->end_number = source_queue(self)->next;
    record_resume(&self->record, time_us);
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
    /* The VMM may have taken another frame after the word of the stop. */
    if (!self->stop_tells ||
        !ledger_swallowed(&self->ledger, &self->sample, &self->settle_least)) {
        self->settle_least = 0;
    }
    self->sample_us = SOURCE_SAMPLE_US;
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

/* The number behind @n frames from @first on that entered the queue. */
static uint64_t source_skip(const Source *self, uint64_t first, uint64_t n)
{
    while (n > 0 && first < self->end_number) {
        n -= !ledger_was_dropped(&self->ledger, first++);
    }
    return first;
}

/* The oldest frames that the guest did not get at the stop, the stop has
 * destroyed (vhost, the queue was full), and those behind them the VMM had
 * swallowed: it delivers them after the resume (QEMU's own queue), or never
 * (vhost). The queue and the used index tell. */
static bool source_settle_lost(Source *self)
{
    uint32_t swallowed, destroyed;
    bool told;

    if (self->settling == 0) {
        return true;
    }
    self->settling--;
    if (!ledger_swallowed(&self->ledger, &self->sample, &swallowed)) {
        self->settle_least = 0;
    } else if (self->sample.used_stable) {
        self->settle_least = MIN(self->settle_least, swallowed);
    }
    told = ledger_find_destroyed(&self->ledger, &destroyed);
    if (!told) {
        self->settling = MAX(self->settling, 1);
    }
    if ((self->settle_least > 0 || destroyed > 0) && self->settling > 0) {
        return false;
    }
    ledger_destroyed(&self->ledger, destroyed);
    if (self->injector) {
        source_return(self, self->stop_number,
                      source_skip(self, self->stop_number,
                                  destroyed + self->settle_least),
                      ledger_was_queued, RECORD_SWALLOWED);
    }
    self->settling = 0;
    ledger_restart(&self->ledger);
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
        source_phase(self, SWITCHOVER_ARMED);
    }
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
        if (cursor.number >= self->stop_number &&
            (record->mark & RECORD_GIVEN)) {
            counter_sub(record->mark & RECORD_SHIPPED
                            ? &self->account.reinjected
                            : &self->account.delivered,
                        1, record->len);
        }
        if (cursor.number >= self->stop_number) {
            record->mark &= RECORD_SHIPPED | RECORD_COUNTED | RECORD_NO_ROOM;
        }
        packet_cursor_advance(&cursor);
    }
    /* What had been moved from delivered to dropped is shipped now, too. */
    counter_add(&self->account.delivered, tap_full, 0);
    counter_sub(&self->account.dropped[DROP_TAP_FULL], tap_full, 0);
    self->catching_up = false;
    self->settling = 0;
}
