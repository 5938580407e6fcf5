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
    place->known = ledger_place(&self->ledger, number, &place->at);
}

void source_count_placed(Source *self)
{
    PacketCursor cursor = frame_writer_next(self->writer);

    if (cursor.number >= self->place.number) {
        self->place.shipped++;
        self->place.sent = frame_writer_sent(self->writer) - self->place.next;
    }
}

static void source_append_record(GByteArray *records, const LinkRecord *record)
{
    uint8_t bytes[LINK_RECORD_MAX];

    g_byte_array_append(records, bytes, (guint)link_record_put(bytes, record));
}

/* The next frame on the wire is one of @pieces. */
static void source_append_place(const Source *self, GByteArray *records,
                                unsigned pieces)
{
    const SourcePlace *place = &self->place;
    bool cut = pieces > 1 || place->sent != place->shipped;

    source_append_record(records,
                         &(LinkRecord){
                             .type = LINK_PLACE,
                             .next = place->next + place->sent,
                             .place = place->at.place,
                             .count = place->shipped,
                             .taken = place->at.taken,
                             .flags = (place->at.full ? LINK_PLACE_FULL : 0) |
                                      (cut ? LINK_PLACE_CUT : 0),
                             .pieces = pieces,
                         });
}

void source_say_place(void *opaque, GByteArray *records)
{
    Source *self = opaque;
    SourcePlace *place = &self->place;

    if (self->found.known) {
        /* Another daemon may have shipped these before. */
        source_append_record(records,
                             &(LinkRecord){.type = LINK_FOUND,
                                           .next = self->found.parts,
                                           .place = place->at.place,
                                           .count = self->found.count,
                                           .again = self->found.again,
                                           .taken = self->found.taken});
    }
    if (place->known && (!self->found.known || place->shipped > 0)) {
        source_append_place(self, records, 1);
    }
}

static void source_say_pieces(void *opaque, GByteArray *records)
{
    Source *self = opaque;

    source_append_place(self, records, self->place.pieces);
}

void source_place_cut(Source *self, unsigned n)
{
    if (self->place.known &&
        frame_writer_next(self->writer).number >= self->place.number) {
        self->place.pieces = n;
        source_link_say(self->link, source_say_pieces);
    }
}
