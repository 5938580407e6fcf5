/* SPDX-License-Identifier: BSD-2-Clause */
/* The source: tells its peer where its frames stand in what the TAP has
 * counted, so that it is known what was lost with it if another one has to
 * follow. */
#include "switchover/source-internal.h"
#include "wire/link-record.h"

void source_set_place(Source *self, uint64_t number)
{
    SourcePlace *place = &self->place;

    *place = (SourcePlace){
        .number = number,
        .next = frame_writer_sent(self->writer) +
                (self->found.known ? self->found.parts : 0),
    };
    place->known = ledger_place(&self->ledger, number, &place->place);
}

void source_count_placed(Source *self)
{
    PacketCursor cursor = frame_writer_next(self->writer);

    if (cursor.number >= self->place.number) {
        self->place.shipped++;
        self->place.sent = frame_writer_sent(self->writer) - self->place.next;
    }
}

static void source_append_place(const Source *self, GByteArray *records,
                                LinkType type, uint64_t next, uint64_t count)
{
    const LinkRecord record = {
        .type = type,
        .next = next,
        .place = self->place.place,
        .count = count,
        .again = self->found.again,
    };
    uint8_t bytes[LINK_RECORD_MAX];

    g_byte_array_append(records, bytes, (guint)link_record_put(bytes, &record));
}

void source_say_place(void *opaque, GByteArray *records)
{
    Source *self = opaque;
    SourcePlace *place = &self->place;

    if (self->found.known) {
        /* Another daemon may have shipped these before. */
        source_append_place(self, records, LINK_FOUND, self->found.parts,
                            self->found.count);
    }
    if (place->known && (!self->found.known || place->shipped > 0)) {
        place->cut = place->sent - place->shipped;
        source_append_place(self, records, LINK_PLACE,
                            place->next + place->sent, place->shipped);
    }
}

void source_tell_cut(Source *self)
{
    if (self->place.known &&
        self->place.sent - self->place.shipped != self->place.cut) {
        source_link_say(self->link, source_say_place);
    }
}
