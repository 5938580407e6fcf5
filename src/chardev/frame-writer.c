/* SPDX-License-Identifier: BSD-2-Clause */
#include "chardev/frame-writer-internal.h"
#include "wire/framer.h"

#include <string.h>

/* How many complete frames are in the first @len bytes of the spill. */
static unsigned writer_spill_frames(const FrameWriter *self, size_t len)
{
    size_t at = 0;
    unsigned n = 0;

    while (at + 4 <= len &&
           (at += framer_frame_len(self->spill->data + at)) <= len) {
        n++;
    }
    return n;
}

static PacketRecord *writer_append(FrameWriter *self, const Packet *packet)
{
    PacketRecord *record = packet_queue_append(&self->queue, packet);
    Packet view = packet_record_view(record);

    self->waiting_bytes += record->len;
    frame_writer_put_prefix(self, &view);
    return record;
}

void frame_writer_keep_run(FrameWriter *self, unsigned i)
{
    unsigned n = self->run.n;

    self->run.n = 0;
    self->run.bytes = 0;
    for (; i < n; i++) {
        writer_append(self, &self->run.packets[i]);
    }
}

void frame_writer_opened(FrameWriter *self)
{
    self->partial = 0; /* a new connection starts with a whole frame */
    if (self->chardev && self->handlers->opened) {
        self->handlers->opened(self->opaque);
    }
    frame_writer_send(self);
}

void frame_writer_closed(FrameWriter *self)
{
    frame_writer_keep_run(self, 0);
    self->cut =
        self->spilling ? writer_spill_frames(self, self->partial) : self->skip;
    self->skip = 0;
    self->partial = 0;
    self->held = self->asked = self->told = false;
    g_byte_array_set_size(self->rest, 0);
    if (self->handlers->closed) {
        self->handlers->closed(self->opaque);
    }
}

static void writer_opened(void *opaque)
{
    frame_writer_opened(opaque);
}

static void writer_closed(void *opaque)
{
    frame_writer_closed(opaque);
}

static void writer_readable(void *opaque)
{
    FrameWriter *self = opaque;
    uint8_t bytes[4096];
    ssize_t n;

    /* Otherwise nothing is expected; a read notices that the peer has left. */
    while ((n = chardev_read(self->chardev, bytes, sizeof(bytes))) > 0) {
        if (self->handlers->said) {
            self->handlers->said(self->opaque, bytes, (size_t)n);
        }
    }
}

static void writer_writable(void *opaque)
{
    frame_writer_send(opaque);
}

static const ChardevHandlers writer_chardev_handlers = {
    .opened = writer_opened,
    .closed = writer_closed,
    .readable = writer_readable,
    .writable = writer_writable,
};

static FrameWriter *writer_new(const FrameWriterConfig *config,
                               const FrameWriterHandlers *handlers,
                               void *opaque)
{
    FrameWriter *self = g_new0(FrameWriter, 1);

    self->config = *config;
    self->config.chardev = NULL; /* borrowed only now */
    self->handlers = handlers;
    self->opaque = opaque;
    self->shipping = config->shipping;
    packet_queue_init(&self->queue);
    self->spill = g_byte_array_new();
    self->rest = g_byte_array_new();
    return self;
}

FrameWriter *frame_writer_new_shared(Chardev *chardev,
                                     const FrameWriterConfig *config,
                                     const FrameWriterHandlers *handlers,
                                     void *opaque)
{
    FrameWriter *self = writer_new(config, handlers, opaque);

    self->chardev = chardev;
    self->shared = true;
    return self;
}

FrameWriter *frame_writer_new(const FrameWriterConfig *config,
                              const FrameWriterHandlers *handlers, void *opaque,
                              GError **errp)
{
    FrameWriter *self = writer_new(config, handlers, opaque);

    self->chardev =
        chardev_claim(config->chardev, &writer_chardev_handlers, self, errp);
    if (!self->chardev) {
        frame_writer_free(self);
        return NULL;
    }
    chardev_want_read(self->chardev, true);
    return self;
}

void frame_writer_free(FrameWriter *self)
{
    if (!self) {
        return;
    }
    if (self->chardev && !self->shared &&
        (self->partial > 0 || self->rest->len > 0 || self->asked ||
         self->told)) {
        /* Within a frame, or after LINK_ASK: the next frontend has to start
         * with a new connection. */
        chardev_disconnect(self->chardev);
    }
    if (!self->shared) {
        chardev_release(self->chardev);
    }
    packet_queue_free(&self->queue);
    g_byte_array_unref(self->spill);
    g_byte_array_unref(self->rest);
    g_free(self->scratch);
    g_free(self);
}

bool frame_writer_connected(const FrameWriter *self)
{
    return self->chardev && self->chardev->connected;
}

const PacketQueue *frame_writer_queue(const FrameWriter *self)
{
    return &self->queue;
}

PacketCursor frame_writer_next(const FrameWriter *self)
{
    return self->next;
}

Counter frame_writer_waiting(const FrameWriter *self)
{
    return (Counter){
        .packets = self->queue.next - self->fresh + self->run.n,
        .bytes = self->waiting_bytes + self->run.bytes,
    };
}

/* Bytes that wait, including the overhead of records. */
static uint64_t writer_size(const FrameWriter *self)
{
    Counter waiting = frame_writer_waiting(self);

    return waiting.bytes + waiting.packets * sizeof(PacketRecord);
}

bool frame_writer_is_full(const FrameWriter *self)
{
    return writer_size(self) >= self->config.limit;
}

/* Is there enough room to call room()? */
static bool writer_has_room(const FrameWriter *self)
{
    uint64_t limit = self->config.limit;

    return writer_size(self) < limit - MIN(limit / 4, ROOM_BYTES);
}

/* How many frames on the wire the record at the cursor becomes. */
static unsigned writer_parts_under_way(const FrameWriter *self)
{
    return self->spilling ? MIN(self->spilled, PARTS_SKIP - 1) : 1;
}

void frame_writer_step(FrameWriter *self, const PacketRecord *record)
{
    if (self->next.number == self->fresh) {
        self->waiting_bytes -= record->len;
        self->fresh++;
    }
    packet_cursor_advance(&self->next);
    self->partial = 0;
    self->spilling = false;
    self->cut = self->skip = 0;
}

void frame_writer_pass(FrameWriter *self, FrameFate fate)
{
    PacketRecord *record = packet_queue_at(&self->queue, &self->next);

    if (fate != FRAME_SENT) {
        record->parts = PARTS_NONE;
    } else if (record->parts > 0) {
        fate = FRAME_REPEATED;
    } else {
        record->parts = (uint16_t)writer_parts_under_way(self);
    }
    self->sent += frame_writer_parts(record);
    self->handlers->done(self->opaque, record, fate);
    frame_writer_step(self, record);
    if (!self->config.retain) {
        frame_writer_trim(self, self->next.number);
    }
    if (self->starved && writer_has_room(self)) {
        self->starved = false;
        if (self->handlers->room) {
            self->handlers->room(self->opaque);
        }
    }
}

/* Drops the record at the cursor. */
static void writer_drop(FrameWriter *self)
{
    PacketRecord *record = packet_queue_at(&self->queue, &self->next);

    if (record->parts == PARTS_SKIP) {
        frame_writer_step(self, record);
    } else {
        frame_writer_pass(self, FRAME_DROPPED);
    }
}

PacketRecord *frame_writer_append_always(FrameWriter *self,
                                         const Packet *packet)
{
    frame_writer_keep_run(self, 0);
    return writer_append(self, packet);
}

PacketRecord *frame_writer_append_missing(FrameWriter *self)
{
    frame_writer_keep_run(self, 0);
    return packet_queue_append_missing(&self->queue);
}

void frame_writer_detach(FrameWriter *self)
{
    PacketRecord *record = packet_queue_at(&self->queue, &self->next);
    size_t prefix = frame_writer_prefix(self);
    const uint8_t *bytes =
        self->spilling ? self->spill->data : record->data - prefix;
    size_t len = self->spilling ? self->spill->len : record->len + prefix;

    g_byte_array_append(self->rest, bytes + self->partial,
                        (guint)(len - self->partial));
    frame_writer_pass(self, FRAME_SENT);
}

/* Can the packet be sent without a copy, by frame_writer_run()? */
static bool writer_may_lend(const FrameWriter *self, const Packet *packet)
{
    return self->handlers->passed && frame_writer_connected(self) &&
           self->shipping && self->rest->len == 0 &&
           !self->chardev->want_write &&
           self->next.number == self->queue.next && self->run.n < RUN_FRAMES &&
           self->run.bytes < RUN_BYTES &&
           packet->headroom >= frame_writer_prefix(self) &&
           frame_writer_is_ready(self, packet);
}

FrameAppend frame_writer_append(FrameWriter *self, const Packet *packet)
{
    if (!frame_writer_connected(self) && !self->config.queue_without_peer) {
        return FRAME_APPEND_DISCONNECTED;
    }
    if (frame_writer_is_full(self) || self->run.n == RUN_FRAMES ||
        self->run.bytes >= RUN_BYTES) {
        frame_writer_run(self); /* this batch has not been offered yet */
    }
    if (frame_writer_is_full(self)) {
        if (self->config.policy != FULL_DROP_OLDEST) {
            self->starved = true;
            return FRAME_APPEND_FULL;
        }
        if (self->partial > 0) {
            frame_writer_detach(self);
        }
        while (frame_writer_is_full(self) &&
               self->next.number < self->queue.next) {
            writer_drop(self);
        }
    }
    if (writer_may_lend(self, packet)) {
        self->run.packets[self->run.n++] = *packet;
        self->run.bytes += packet->len;
    } else {
        frame_writer_append_always(self, packet);
    }
    return FRAME_APPEND_OK;
}

void frame_writer_drop_waiting(FrameWriter *self)
{
    frame_writer_keep_run(self, 0);
    while (self->partial == 0 && packet_queue_at(&self->queue, &self->next)) {
        writer_drop(self);
    }
}

void frame_writer_skip(PacketRecord *record)
{
    record->parts = PARTS_SKIP;
}

void frame_writer_start(FrameWriter *self, uint64_t number)
{
    PacketRecord *record;

    frame_writer_keep_run(self, 0);
    frame_writer_forget_sent(self);
    self->next = packet_queue_head(&self->queue);
    self->fresh = self->next.number;
    self->waiting_bytes = self->queue.bytes;
    while (self->next.number < number &&
           (record = packet_queue_at(&self->queue, &self->next))) {
        frame_writer_step(self, record);
    }
    self->partial = 0;
    self->spilling = false;
    self->shipping = true;
    frame_writer_run(self);
}

void frame_writer_stop(FrameWriter *self)
{
    frame_writer_keep_run(self, 0);
    if (self->partial > 0) {
        frame_writer_detach(self);
    }
    self->shipping = false;
}

bool frame_writer_is_shipping(const FrameWriter *self)
{
    return self->shipping;
}

void frame_writer_trim(FrameWriter *self, uint64_t number)
{
    while (self->queue.head.number < MIN(number, self->queue.next)) {
        PacketRecord *record, *head;

        if (self->queue.head.number >= self->next.number) {
            if (self->shipping) {
                break;
            }
            record = packet_queue_at(&self->queue, &self->next);
            record->parts = 0; /* it was to go out again, and does not */
            frame_writer_step(self, record);
        }
        head = packet_queue_at(&self->queue, &self->queue.head);
        self->oldest += frame_writer_parts(head);
        packet_queue_pop(&self->queue);
    }
}
