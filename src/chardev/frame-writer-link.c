/* SPDX-License-Identifier: BSD-2-Clause */
/* The writer: records, and frames that are sent again. */
#include "chardev/frame-writer-internal.h"
#include "wire/link-record.h"

unsigned frame_writer_parts(const PacketRecord *record)
{
    return record->parts >= PARTS_SKIP ? 0 : record->parts;
}

void frame_writer_hold(FrameWriter *self, bool held)
{
    self->held = held;
    if (!held) {
        frame_writer_run(self);
    }
}

void frame_writer_forget_sent(FrameWriter *self)
{
    PacketCursor cursor = packet_queue_head(&self->queue);
    PacketRecord *record;

    while ((record = packet_queue_at(&self->queue, &cursor))) {
        record->parts = record->parts == PARTS_SKIP ? PARTS_SKIP : 0;
        packet_cursor_advance(&cursor);
    }
    self->oldest = self->sent;
    self->cut = self->skip = 0;
}

bool frame_writer_ask(FrameWriter *self)
{
    static const uint8_t ask = LINK_ASK;
    struct iovec iov = {(void *)&ask, 1};

    if (!chardev_is_duplex(self->chardev)) {
        return false;
    }
    /* If that fails, the connection is lost, and closed() will be called. */
    self->asked = chardev_writev(self->chardev, &iov, 1) == 1;
    return true;
}

void frame_writer_tell(FrameWriter *self, const uint8_t *bytes, size_t n)
{
    if (self->partial > 0) {
        frame_writer_detach(self);
    }
    self->asked = false;
    self->told = true;
    g_byte_array_append(self->rest, bytes, (guint)n);
    frame_writer_run(self);
}

uint64_t frame_writer_sent(const FrameWriter *self)
{
    return self->sent;
}

uint64_t frame_writer_oldest(const FrameWriter *self)
{
    return self->oldest;
}

uint64_t frame_writer_reach(const FrameWriter *self)
{
    return self->sent + self->cut;
}

void frame_writer_seek(FrameWriter *self, uint64_t number)
{
    PacketCursor cursor = packet_queue_head(&self->queue);
    uint64_t at = self->oldest, end = self->next.number;
    PacketRecord *record;

    g_assert(number >= at && number <= frame_writer_reach(self));
    while (cursor.number < end &&
           (record = packet_queue_at(&self->queue, &cursor)) &&
           at + frame_writer_parts(record) <= number) {
        at += frame_writer_parts(record);
        packet_cursor_advance(&cursor);
    }
    self->next = cursor;
    self->sent = at;
    self->partial = 0;
    self->spilling = false;
    self->cut = 0;
    self->skip = (unsigned)(number - at);
}
