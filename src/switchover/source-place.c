/* SPDX-License-Identifier: BSD-2-Clause */
/* The source: tells the destination the place of its frames (shortfall.h), so
 * that it is known how many are lost with it if another one has to follow. */
#include "switchover/source-internal.h"
#include "wire/link-record.h"

/* How many frames from @number on are not shipped: those of other queues, which
 * the guest had received at the stop. */
static uint64_t source_count_had(const Source *self, uint64_t number)
{
    PacketCursor cursor = packet_queue_head(source_queue(self));
    const PacketRecord *record;
    uint64_t n = 0;

    while ((record = packet_queue_at(source_queue(self), &cursor))) {
        n += cursor.number >= number && record->mark & RECORD_HAD;
        packet_cursor_advance(&cursor);
    }
    return n;
}

void source_set_place(Source *self, uint64_t number)
{
    SourcePlace *place = &self->place;

    *place = (SourcePlace){
        .number = number,
        .next = frame_writer_sent(self->writer) +
                (self->found.known ? self->found.parts : 0),
    };
    place->known = ledger_place(&self->ledger, number, &place->at);
    place->at.place += source_count_had(self, number);
}

void source_count_placed(Source *self)
{
    if (frame_writer_next(self->writer).number >= self->place.number) {
        self->place.shipped++;
    }
}

/* How many of these are sent again on this connection, and are not out yet. */
static uint64_t source_placed_again(const Source *self)
{
    PacketCursor cursor = frame_writer_next(self->writer);
    const PacketRecord *record;
    uint64_t n = 0;

    while ((record = packet_queue_at(source_queue(self), &cursor))) {
        n += cursor.number >= self->place.number &&
             frame_writer_parts(record) > 0;
        packet_cursor_advance(&cursor);
    }
    return MIN(n, self->place.shipped);
}

static void source_append_record(GByteArray *records, const LinkRecord *record)
{
    uint8_t bytes[LINK_RECORD_MAX];

    g_byte_array_append(records, bytes, (guint)link_record_put(bytes, record));
}

void source_say_place(void *opaque, GByteArray *records)
{
    Source *self = opaque;
    const SourcePlace *place = &self->place;
    uint64_t shipped = place->shipped - source_placed_again(self);
    bool cut =
        shipped > 0 && frame_writer_sent(self->writer) != place->next + shipped;

    /* Another daemon may have shipped these before. Those of the last queue are
     * the last ones. */
    for (unsigned i = self->found.known ? self->found.n_ends : 0; i-- > 0;) {
        source_append_record(records,
                             &(LinkRecord){.type = LINK_FOUND,
                                           .next = self->found.ends[i],
                                           .place = place->at.place,
                                           .again = self->found.again,
                                           .taken = self->found.taken});
    }
    if (place->known && (!self->found.known || shipped > 0)) {
        source_append_record(
            records, &(LinkRecord){
                         .type = LINK_PLACE,
                         .place = place->at.place,
                         .count = shipped,
                         .taken = place->at.taken,
                         .flags = (place->at.full ? LINK_PLACE_FULL : 0) |
                                  (cut ? LINK_PLACE_CUT : 0),
                     });
    }
}

void source_say_cut(Source *self, unsigned n)
{
    if (self->place.known) {
        source_link_tell(self->link,
                         &(LinkRecord){.type = LINK_PIECES, .count = n});
    }
}
