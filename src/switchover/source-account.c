/* SPDX-License-Identifier: BSD-2-Clause */
/* The source: accounting for each frame. */
#include "switchover/source-internal.h"

/* Moves the cursor behind records that were trimmed. */
static PacketCursor *source_accounted(Source *self)
{
    if (self->accounted.number < source_queue(self)->head.number) {
        self->accounted = packet_queue_head(source_queue(self));
    }
    return &self->accounted;
}

static Counter *source_given(Source *self, const PacketRecord *record)
{
    return record->mark & RECORD_SHIPPED ? &self->account.reinjected
                                         : &self->account.delivered;
}

void source_count_given(Source *self, PacketRecord *record)
{
    if (!(record->mark & RECORD_GIVEN)) {
        record->mark |= RECORD_GIVEN;
        counter_add(source_given(self, record), 1, record->len);
    }
}

void source_expect_injected(Source *self, uint32_t len)
{
    for (unsigned i = 0; i < self->n_captures; i++) {
        /* With several queues it is only in one of these, and never comes in
         * the others. */
        used_frames_captured(&self->used[i], len);
    }
}

void source_uncount_given(Source *self, PacketRecord *record)
{
    if (record->mark & RECORD_GIVEN) {
        record->mark &= ~(uint32_t)RECORD_GIVEN;
        counter_sub(source_given(self, record), 1, record->len);
    }
}

/* Accounts for a frame that the VMM has taken, while the VM runs. */
static void source_account_record(Source *self, PacketRecord *record)
{
    if (record->mark & (RECORD_RETURNED | RECORD_SWALLOWED | RECORD_COUNTED)) {
        return; /* accounted for when it is injected */
    }
    source_count_given(self, record);
}

/* Moves frames dropped by the full TAP from delivered to dropped. Their number
 * is exact; which frames they were is known to within a sample. */
static void source_account_dropped(Source *self, uint64_t packets,
                                   uint64_t bytes_per_packet)
{
    uint64_t n = MIN(packets, self->account.delivered.packets);
    uint64_t bytes = MIN(n * bytes_per_packet, self->account.delivered.bytes);

    counter_sub(&self->account.delivered, n, bytes);
    counter_add(&self->account.dropped[DROP_TAP_FULL], n, bytes);
}

/* Updates the counters from the ledger. */
void source_advance(Source *self)
{
    uint64_t packets = 0, bytes = 0, dropped;
    PacketRecord *record;

    while (self->accounted.number < self->ledger.taken &&
           (record =
                packet_queue_at(source_queue(self), source_accounted(self)))) {
        source_account_record(self, record);
        packets++;
        bytes += record->len;
        /* The ledger counts these as dropped, but they were given back. */
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

void source_trim(Source *self)
{
    frame_writer_trim(self->writer, MIN(self->accounted.number,
                                        ledger_history(&self->ledger)));
}

/* Frames still pending when the capture ends count as delivered, except those
 * known to be dropped. */
void source_forget(Source *self)
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

/* How many of @bytes were moved from delivered to dropped with @packets of
 * their frames: about their share, and no more than either has. */
static uint64_t source_dropped_bytes(const Source *self, uint64_t packets,
                                     uint64_t bytes)
{
    Counter dropped = self->account.dropped[DROP_TAP_FULL];
    uint64_t delivered = self->account.delivered.bytes;
    uint64_t share =
        packets > 0 ? dropped.bytes / MAX(dropped.packets, 1) * packets : 0;

    if (packets > 0 && packets == dropped.packets) {
        share = dropped.bytes;
    }
    return MAX(MIN(share, bytes), bytes - MIN(bytes, delivered));
}

/* Undoes the accounting of frames from @number on: the guest did not receive
 * them after all. */
void source_unaccount(Source *self, uint64_t number)
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
        if ((record->mark & (RECORD_GIVEN | RECORD_HAD)) == RECORD_GIVEN) {
            record->mark &= ~(uint32_t)RECORD_GIVEN;
            packets++;
            bytes += record->len;
        }
        packet_cursor_advance(&cursor);
    }
    /* Frames that the ledger no longer counts as dropped were not delivered
     * either. */
    unfolded = MIN(self->folded - self->ledger.dropped_before, packets);
    dropped_bytes = source_dropped_bytes(self, unfolded, bytes);
    counter_sub(&self->account.dropped[DROP_TAP_FULL], unfolded, dropped_bytes);
    counter_sub(&self->account.delivered, packets - unfolded,
                bytes - dropped_bytes);
    self->folded = self->ledger.dropped_before;
    self->returned = 0;
    self->accounted = from;
}

void source_serials(const Source *self, uint64_t *serials)
{
    PacketCursor cursor = packet_queue_head(source_queue(self));
    const PacketRecord *record;

    for (unsigned i = 0; i < LEDGER_QUEUES_MAX; i++) {
        serials[i] = self->ledger.queues[i].entered;
    }
    while ((record = packet_queue_at(source_queue(self), &cursor))) {
        serials[record->queue]--;
        packet_cursor_advance(&cursor);
    }
}

/* Does the guest lack @record, the next one of its queue? Advances @serials. */
static bool source_lacks(const Source *self, const PacketRecord *record,
                         uint64_t *serials)
{
    const LedgerQueue *queue = &self->ledger.queues[record->queue];

    return serials[record->queue]++ >= queue->stop_entered - queue->lacks;
}

uint64_t source_begin(Source *self, int64_t end_us)
{
    PacketCursor cursor = packet_queue_head(source_queue(self));
    uint64_t serials[LEDGER_QUEUES_MAX], first = UINT64_MAX;
    int64_t last_ns = 0;
    PacketRecord *record;

    source_serials(self, serials);
    while ((record = packet_queue_at(source_queue(self), &cursor))) {
        if (source_lacks(self, record, serials)) {
            first = MIN(first, cursor.number);
        } else {
            last_ns = MAX(last_ns, record->time_ns);
        }
        packet_cursor_advance(&cursor);
    }
    if (last_ns / 1000 >= end_us) {
        return ledger_stop_unheard(&self->ledger);
    }
    first = MIN(first, cursor.number);
    ledger_begin_at(&self->ledger, first);
    cursor = packet_queue_head(source_queue(self));
    source_serials(self, serials);
    while ((record = packet_queue_at(source_queue(self), &cursor))) {
        if (!source_lacks(self, record, serials) && cursor.number > first) {
            if (!(record->mark & RECORD_COUNTED)) {
                source_count_given(self, record);
            }
            record->mark |= RECORD_HAD;
            frame_writer_skip(record);
        }
        packet_cursor_advance(&cursor);
    }
    return first;
}

/* Counts the records from @cursor on that have none of @marks. */
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

/* Some of the pending frames are known to be dropped. */
static void source_show_dropped(const Source *self, Account *account)
{
    uint64_t n = ledger_dropped(&self->ledger) - self->ledger.dropped_before;
    uint64_t bytes;

    if (account->pending.packets > 0) {
        n = MIN(n, account->pending.packets);
        bytes = account->pending.bytes / account->pending.packets * n;
        counter_sub(&account->pending, n, bytes);
        counter_add(&account->dropped[DROP_TAP_FULL], n, bytes);
    }
}

Account source_account(Source *self)
{
    Account account = self->account;

    if (self->record.phase == SWITCHOVER_SHIPPING) {
        source_sum(source_queue(self), frame_writer_next(self->writer),
                   RECORD_SHIPPED | RECORD_COUNTED | RECORD_HAD,
                   &account.queued);
    } else {
        source_sum(source_queue(self), *source_accounted(self),
                   RECORD_SHIPPED | RECORD_RETURNED | RECORD_SWALLOWED |
                       RECORD_COUNTED | RECORD_HAD,
                   &account.pending);
    }
    if (self->record.phase == SWITCHOVER_ARMED) {
        source_show_dropped(self, &account);
    }
    if (self->injector) {
        Counter returning = source_returning(self);

        counter_add(&account.pending, returning.packets, returning.bytes);
    }
    return account;
}
