/* SPDX-License-Identifier: BSD-2-Clause */
/* The source: tells its peer what the guest got here, so that copies that
 * flooding brought to the other TAP are known there. */
#include "switchover/source-internal.h"
#include "wire/link-record.h"

void source_begin_delivered(Source *self)
{
    if (self->config.acknowledge == LINK_MODE_OFF || !self->vm->known ||
        !self->vm->running) {
        source_end_delivered(self); /* what it gets was not seen */
        return;
    }
    if (!self->delivered) {
        self->delivered = delivered_new();
    }
    delivered_begin(self->delivered, source_queue(self)->next,
                    g_get_monotonic_time());
}

void source_end_delivered(Source *self)
{
    g_clear_pointer(&self->delivered, delivered_free);
}

void source_note_delivered(Source *self, const PacketBatch *batch)
{
    uint64_t number = source_queue(self)->next - batch->n;
    int64_t now = g_get_monotonic_time();

    for (unsigned i = 0; self->delivered && i < batch->n; i++) {
        delivered_add(self->delivered, number + i, &batch->packets[i], now);
    }
}

void source_settle_delivered(Source *self)
{
    PacketCursor cursor = packet_queue_head(source_queue(self));
    PacketRecord *record;

    while (self->delivered &&
           (record = packet_queue_at(source_queue(self), &cursor))) {
        if (cursor.number >= self->stop_number &&
            !(record->mark & RECORD_HAD)) {
            delivered_forget(self->delivered, cursor.number);
        }
        packet_cursor_advance(&cursor);
    }
}

static void source_append_word(GByteArray *records, uint64_t rest,
                               uint64_t memory_us, const LinkDigest *digests,
                               unsigned n)
{
    uint8_t body[LINK_DELIVERED_MAX], head[LINK_RECORD_MAX];
    size_t len = link_delivered_put(body, rest, memory_us, digests, n);

    g_byte_array_append(records, head,
                        (guint)link_record_put_head(head, LINK_DELIVERED, len));
    g_byte_array_append(records, body, (guint)len);
}

/* The whole list; @digests holds DELIVERED_MAX. */
static void source_append_list(Source *self, GByteArray *records,
                               LinkDigest *digests)
{
    int64_t now = g_get_monotonic_time();
    uint64_t memory = UINT64_MAX;
    unsigned n = 0, done = 0, some;

    if (self->delivered) {
        n = delivered_list(self->delivered, now, digests);
        memory = delivered_memory_us(self->delivered, now);
    }
    do {
        some = MIN(n - done, LINK_DELIVERED_FRAMES);
        source_append_word(records, n - done - some, memory, digests + done,
                           some);
        done += some;
    } while (done < n);
}

void source_say_stop(void *opaque, GByteArray *records)
{
    Source *self = opaque;
    LinkDigest *digests;

    if (self->record.phase == SWITCHOVER_SHIPPING) { /* else it gets more */
        digests = g_new(LinkDigest, DELIVERED_MAX);
        source_append_list(self, records, digests);
        g_free(digests);
        source_say_place(self, records);
    }
}
