/* SPDX-License-Identifier: BSD-2-Clause */
#include "switchover/sink-link.h"

#include "base/log.h"
#include "base/loop.h"
#include "switchover/link-memory.h"
#include "wire/link-receiver.h"

/* So long after frames moved the source is told. */
#define ACK_US 5000

struct SinkLink {
    SinkLinkConfig config;
    FrameReader *reader;
    LinkReceiver receiver;
    LinkMemory *memory; /* of what has its place, for the next daemon */
    uint64_t recalled;  /* the session that the last one left; or 0 */
    LoopTimer timer;
    bool ended;      /* the source does not come back */
    bool counted;    /* it was told what is missing since the one before it */
    GByteArray *out; /* of what the source was told and the kernel had no room
                        for */
};

static void sink_link_flush(SinkLink *self)
{
    size_t n;

    if (self->out->len > 0) {
        n = frame_reader_answer(self->reader, self->out->data, self->out->len);
        g_byte_array_remove_range(self->out, 0, (guint)n);
    }
    if (self->out->len > 0) {
        loop_timer_set(&self->timer, ACK_US);
    }
}

static void sink_link_tell(SinkLink *self, const LinkRecord *record)
{
    uint8_t bytes[LINK_RECORD_MAX];

    g_byte_array_append(self->out, bytes,
                        (guint)link_record_put(bytes, record));
    sink_link_flush(self);
}

static void sink_link_tick(void *opaque)
{
    SinkLink *self = opaque;
    LinkRecord ack;

    sink_link_flush(self);
    if (self->out->len == 0 &&
        link_receiver_ack(&self->receiver, sink_unsettled(self->config.sink),
                          &ack)) {
        sink_link_tell(self, &ack);
    }
}

static void sink_link_settled(void *opaque)
{
    SinkLink *self = opaque;

    link_memory_settle(
        self->memory, link_receiver_settled(&self->receiver,
                                            sink_unsettled(self->config.sink)));
}

static void sink_link_moved(void *opaque)
{
    SinkLink *self = opaque;

    sink_link_settled(self);
    if (self->receiver.acked && !self->timer.armed) {
        loop_timer_set(&self->timer, ACK_US);
    }
}

static void sink_link_tell_missing(SinkLink *self)
{
    sink_link_tell(self, &(LinkRecord){
                             .type = LINK_MISSING,
                             .lost = sink_shortfall(self->config.sink)->missing,
                         });
}

static void sink_link_missing(void *opaque)
{
    SinkLink *self = opaque;

    log_info("switchover",
             "%s: %" G_GUINT64_FORMAT
             " frames were lost with sources that another one followed",
             self->config.name, sink_shortfall(self->config.sink)->missing);
    self->counted = true;
    sink_link_tell_missing(self);
}

/* FrameReaderHandlers */

static void sink_link_packets(void *opaque, const PacketBatch *batch)
{
    SinkLink *self = opaque;

    self->config.handlers->packets(self->config.opaque, batch);
    for (unsigned i = 0; i < batch->n; i++) {
        link_receiver_frame(&self->receiver, batch->packets[i].data,
                            batch->packets[i].len);
    }
    if (self->receiver.acked) {
        sink_take_part(self->config.sink);
    }
    sink_link_moved(self);
}

static void sink_link_malformed(void *opaque, uint32_t len)
{
    SinkLink *self = opaque;

    self->config.handlers->malformed(self->config.opaque, len);
}

static void sink_link_count(void *opaque, const Packet *packet)
{
    link_receiver_frame(opaque, packet->data, packet->len);
}

/* Another daemon may have been here before. */
static void sink_link_recall(SinkLink *self)
{
    uint64_t session, settled;

    if (self->receiver.session == 0 && self->receiver.next == 0 &&
        link_memory_recall(self->memory, &session, &settled)) {
        link_receiver_recall(&self->receiver, session, settled);
        self->recalled = session;
    }
}

static bool sink_link_asked(void *opaque)
{
    SinkLink *self = opaque;
    LinkReceiver all;
    LinkRecord state;

    sink_link_recall(self);
    all = self->receiver;
    frame_reader_peek(self->reader, sink_link_count, &all);
    link_receiver_state(&all,
                        sink_unsettled(self->config.sink) + all.next -
                            self->receiver.next,
                        &state);
    sink_link_tell(self, &state);
    return true;
}

static void sink_link_plain(void *opaque)
{
    SinkLink *self = opaque;

    link_receiver_plain(&self->receiver);
    link_memory_end(self->memory);
    frame_reader_set_renewable(self->reader, false);
    sink_follow(self->config.sink);
    sink_set_source_tells(self->config.sink, false);
}

static void sink_link_session(SinkLink *self, const LinkRecord *record)
{
    if (self->receiver.session == self->recalled &&
        self->receiver.session == record->session) {
        log_info("switchover",
                 "%s: goes on in the place of the daemon that was here before",
                 self->config.name);
    } else if (self->receiver.session != self->recalled &&
               self->receiver.session != record->session) {
        log_info("switchover",
                 "%s: another source goes on in the place of the last one",
                 self->config.name);
    }
    self->recalled = 0;
    if (self->receiver.session != record->session) {
        sink_follow(self->config.sink);
        self->counted = false;
    } else if (self->counted) {
        sink_link_tell_missing(self); /* it may not have heard */
    }
    self->ended = false;
    if (link_receiver_session(&self->receiver, record)) {
        sink_link_tell(self, &(LinkRecord){.type = LINK_VANISHED});
        log_warning("switchover",
                    "%s: the last source ended without a word: what it had "
                    "captured and not sent, and what came until now, is lost, "
                    "but for what the next one finds in the TAP's queue there",
                    self->config.name);
    }
    link_memory_begin(self->memory, record->session,
                      link_receiver_settled(&self->receiver,
                                            sink_unsettled(self->config.sink)));
    frame_reader_set_renewable(self->reader, true);
    sink_set_source_tells(self->config.sink, true);
    log_info("switchover",
             "%s: acknowledges frames, from number %" G_GUINT64_FORMAT " on",
             self->config.name, record->next);
    if (record->lost > 0) {
        log_warning("switchover",
                    "%s: %" G_GUINT64_FORMAT
                    " frames were lost with the connection: the source has "
                    "them no more",
                    self->config.name, record->lost);
    }
    sink_link_moved(self);
}

static void sink_link_record(void *opaque, const uint8_t *body, size_t len)
{
    SinkLink *self = opaque;
    LinkRecord record;

    if (!link_record_parse(body, len, &record)) {
        return;
    }
    if (record.type == LINK_SESSION) {
        sink_link_session(self, &record);
    } else if (record.type == LINK_CANCELLED) {
        link_receiver_settle(&self->receiver);
        sink_cancel(self->config.sink);
        sink_link_moved(self);
    } else if (record.type == LINK_DELIVERED) {
        sink_hear(self->config.sink, body + 1, len - 1);
    } else if (record.type == LINK_FOUND) {
        sink_found(self->config.sink,
                   record.next - MIN(self->receiver.next, record.next),
                   &(ShortfallFound){.place = record.place,
                                     .taken = record.taken,
                                     .again = record.again});
    } else if (record.type == LINK_PLACE) {
        sink_place(self->config.sink,
                   &(ShortfallPlace){.place = record.place,
                                     .taken = record.taken,
                                     .full = record.flags & LINK_PLACE_FULL,
                                     .cut = record.flags & LINK_PLACE_CUT},
                   record.count);
    } else if (record.type == LINK_PIECES) {
        sink_pieces(self->config.sink, record.count);
    } else if (record.type == LINK_END) {
        link_receiver_settle(&self->receiver);
        link_memory_end(self->memory);
        self->ended = true;
    }
}

static void sink_link_closed(void *opaque)
{
    SinkLink *self = opaque;

    loop_timer_cancel(&self->timer);
    g_byte_array_set_size(self->out, 0);
    link_receiver_closed(&self->receiver);
    /* It will, on its next connection. */
    sink_set_source_tells(self->config.sink,
                          self->receiver.session != 0 && !self->ended);
}

static const FrameReaderHandlers sink_link_handlers = {
    .packets = sink_link_packets,
    .malformed = sink_link_malformed,
    .asked = sink_link_asked,
    .plain = sink_link_plain,
    .record = sink_link_record,
    .closed = sink_link_closed,
};

static const SinkListener sink_link_listener = {
    .moved = sink_link_moved,
    .settled = sink_link_settled,
    .missing = sink_link_missing,
};

json_t *sink_link_to_json(const SinkLink *self)
{
    const Shortfall *shortfall =
        self->config.sink ? sink_shortfall(self->config.sink) : NULL;

    return json_pack("{s:b, s:I, s:b, s:I, s:o*}", "acknowledged",
                     self->receiver.session != 0, "lost",
                     (json_int_t)self->receiver.lost, "ended", self->ended,
                     "vanished", (json_int_t)self->receiver.vanished, "missing",
                     shortfall && shortfall->told
                         ? json_integer((json_int_t)shortfall->missing)
                         : NULL);
}

FrameReader *sink_link_reader(const SinkLink *self)
{
    return self ? self->reader : NULL;
}

SinkLink *sink_link_new(const SinkLinkConfig *config, GError **errp)
{
    SinkLink *self = g_new0(SinkLink, 1);

    self->config = *config;
    self->out = g_byte_array_new();
    self->timer = LOOP_TIMER_INIT;
    link_receiver_init(&self->receiver);
    self->reader =
        config->answers
            ? frame_reader_new(config->chardev, config->vnet,
                               &sink_link_handlers, self, errp)
            : frame_reader_new(config->chardev, config->vnet, config->handlers,
                               config->opaque, errp);
    self->config.chardev = NULL; /* borrowed only now */
    if (!self->reader) {
        sink_link_free(self);
        return NULL;
    }
    loop_timer_open(&self->timer, sink_link_tick, self);
    if (config->answers) {
        self->memory = link_memory_new(self->config.name, self->config.ifname);
        sink_listen(config->sink, &sink_link_listener, self);
    }
    return self;
}

void sink_link_free(SinkLink *self)
{
    if (self) {
        if (self->config.answers) {
            sink_listen(self->config.sink, NULL, NULL);
        }
        link_memory_free(self->memory);
        frame_reader_free(self->reader);
        loop_timer_close(&self->timer);
        g_byte_array_unref(self->out);
        g_free(self);
    }
}
