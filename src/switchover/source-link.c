/* SPDX-License-Identifier: BSD-2-Clause */
#include "switchover/source-link.h"

#include "base/log.h"
#include "base/loop.h"
#include "packet/segment.h"
#include "wire/link-sender.h"

#include <string.h>

/* How long to wait for an answer to LINK_ASK: from a peer that has never
 * answered, when frames may have been lost, and from one that has answered
 * before. */
#define ANSWER_FIRST_US 500000
#define ANSWER_AGAIN_US 250000
#define ANSWER_KNOWN_US 10000000
/* How many of the last bytes are kept for a peer without acknowledgements. */
#define UNDER_WAY_MAX (16 * 1024 * 1024)

const char *const link_mode_words[] = {
    [LINK_MODE_AUTO] = "auto",
    [LINK_MODE_ON] = "on",
    [LINK_MODE_OFF] = "off",
    NULL,
};

struct SourceLink {
    const char *name;
    LinkMode mode;
    bool vnet; /* the link carries virtio-net headers */
    FrameWriter *writer;
    SourceLinkRecords *append;
    void *opaque; /* of it */
    LinkSender sender;
    LinkInput input;
    LoopTimer timer; /* set while asking */
    bool insists;    /* LINK_ASK on each connection, whatever the mode */
    bool warned;     /* that the peer does not acknowledge */
    /* As the peer reports: sources that vanished before us, and frames lost
     * with them. */
    unsigned vanished;
    bool missing_known;
    uint64_t missing;
    uint8_t *scratch;
};

/* Where it goes on */

typedef struct TailWalk {
    LinkTail tail;
    uint64_t number; /* of the next frame */
    uint64_t first, end;
} TailWalk;

static void tail_walk_frame(void *opaque, const Packet *packet)
{
    TailWalk *walk = opaque;

    if (walk->number >= walk->first && walk->number < walk->end) {
        link_tail_add(&walk->tail, packet->data, packet->len);
    }
    walk->number++;
}

static void tail_walk_record(SourceLink *self, TailWalk *walk,
                             const PacketRecord *record)
{
    Packet packet = packet_record_view(record);
    unsigned parts = frame_writer_parts(record);

    if (parts > 0 && walk->number + parts <= walk->first) {
        walk->number += parts;
    } else if (self->vnet) {
        tail_walk_frame(walk, &packet);
    } else {
        packet_segment(&packet, self->scratch, tail_walk_frame, walk);
    }
}

/* LinkStock.digest */
static uint64_t source_link_digest(void *opaque, uint64_t number,
                                   uint64_t count)
{
    SourceLink *self = opaque;
    const PacketQueue *queue = frame_writer_queue(self->writer);
    uint64_t next = frame_writer_next(self->writer).number;
    PacketCursor cursor = packet_queue_head(queue);
    TailWalk walk = {.number = frame_writer_oldest(self->writer),
                     .first = number - MIN(count, LINK_TAIL),
                     .end = number};
    const PacketRecord *record;

    self->scratch = g_malloc(PACKET_MAX_LEN);
    while (walk.number < number && cursor.number <= next &&
           (record = packet_queue_at(queue, &cursor))) {
        if (frame_writer_parts(record) > 0 || cursor.number == next) {
            tail_walk_record(self, &walk, record);
        }
        packet_cursor_advance(&cursor);
    }
    g_clear_pointer(&self->scratch, g_free);
    return link_tail_digest(&walk.tail);
}

static void source_link_log(const SourceLink *self, const LinkRecord *answer,
                            uint64_t sent)
{
    log_info("switchover",
             "%s: the peer acknowledges frames; goes on with number "
             "%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT,
             self->name, answer->next, sent);
    if (answer->lost > 0) {
        log_warning("switchover",
                    "%s: %" G_GUINT64_FORMAT " frames that the peer did not "
                    "get could not be kept, and are lost; a larger "
                    "send-queue-size keeps more",
                    self->name, answer->lost);
    }
}

static void source_link_answered(SourceLink *self, const LinkRecord *state)
{
    LinkStock stock = {
        .oldest = frame_writer_oldest(self->writer),
        .sent = frame_writer_sent(self->writer),
        .reach = frame_writer_reach(self->writer),
        .digest = source_link_digest,
        .opaque = self,
    };
    uint8_t bytes[LINK_ACCEPT_LEN + 2 * LINK_RECORD_MAX] = {0};
    g_autoptr(GByteArray) out = g_byte_array_new();
    LinkRecord answer;
    const LinkRecord cancelled = {.type = LINK_CANCELLED};
    size_t n = LINK_ACCEPT_LEN;

    loop_timer_cancel(&self->timer);
    frame_writer_seek(self->writer, link_sender_answered(&self->sender, state,
                                                         &stock, &answer));
    source_link_log(self, &answer, stock.sent);
    n += link_record_put(bytes + n, &answer);
    if (link_sender_owes_cancel(&self->sender, &answer,
                                frame_writer_is_shipping(self->writer))) {
        n += link_record_put(bytes + n, &cancelled);
    }
    g_byte_array_append(out, bytes, (guint)n);
    self->append(self->opaque, out);
    frame_writer_tell(self->writer, out->data, out->len);
    frame_writer_hold(self->writer, false);
}

static void source_link_plain(SourceLink *self)
{
    link_sender_plain(&self->sender, frame_writer_sent(self->writer));
    frame_writer_hold(self->writer, false);
}

static void source_link_unanswered(void *opaque)
{
    SourceLink *self = opaque;

    if (!self->warned) {
        log_warning("switchover",
                    "%s: the peer does not acknowledge frames: what is under "
                    "way when the connection breaks is lost",
                    self->name);
        self->warned = true;
    }
    source_link_plain(self);
}

/* The connection */

void source_link_opened(SourceLink *self)
{
    bool known = self->sender.session != 0;
    bool under_way = frame_writer_is_shipping(self->writer) &&
                     frame_writer_reach(self->writer) > self->sender.origin;

    self->input.have = 0;
    if (self->mode != LINK_MODE_OFF &&
        link_sender_opened(&self->sender,
                           self->mode == LINK_MODE_ON || self->insists,
                           under_way) &&
        frame_writer_ask(self->writer)) {
        frame_writer_hold(self->writer, true);
        loop_timer_set(&self->timer, known ? ANSWER_KNOWN_US
                                     : under_way || self->insists
                                         ? ANSWER_AGAIN_US
                                         : ANSWER_FIRST_US);
    } else {
        source_link_plain(self);
    }
}

void source_link_insist(SourceLink *self)
{
    self->insists = self->mode == LINK_MODE_AUTO;
    if (self->insists && self->sender.phase == LINK_PLAIN &&
        frame_writer_sent(self->writer) == self->sender.origin) {
        source_link_opened(self); /* nothing was sent on it yet */
    }
}

void source_link_closed(SourceLink *self)
{
    loop_timer_cancel(&self->timer);
    link_sender_closed(&self->sender);
}

static void source_link_follow(SourceLink *self)
{
    self->vanished++;
    log_warning("switchover",
                "%s: the source before this one ended without a word: what it "
                "had captured and not sent, and what came until now, is lost, "
                "but for what was found in the TAP's queue",
                self->name);
}

static void source_link_hear_missing(SourceLink *self, uint64_t missing)
{
    if (self->missing_known && self->missing == missing) {
        return; /* it is sent again on each connection */
    }
    self->missing_known = true;
    self->missing = missing;
    log_info("switchover",
             "%s: %" G_GUINT64_FORMAT
             " frames were lost with sources before this one",
             self->name, missing);
}

bool source_link_said(SourceLink *self, const uint8_t *bytes, size_t n)
{
    uint64_t settled = self->sender.settled;
    LinkRecord record;

    while (link_input_take(&self->input, &bytes, &n, &record) == LINK_RECORD) {
        if (record.type == LINK_STATE && self->sender.phase == LINK_ASKING) {
            source_link_answered(self, &record);
        } else if (record.type == LINK_ACK) {
            link_sender_ack(&self->sender, &record,
                            frame_writer_sent(self->writer));
        } else if (record.type == LINK_VANISHED) {
            source_link_follow(self);
        } else if (record.type == LINK_MISSING) {
            source_link_hear_missing(self, record.lost);
        }
    }
    return self->sender.settled > settled;
}

/* What the VM does */

void source_link_tell(SourceLink *self, const LinkRecord *record)
{
    uint8_t bytes[LINK_RECORD_MAX];

    if (self->sender.phase == LINK_ACKED) {
        frame_writer_tell(self->writer, bytes, link_record_put(bytes, record));
    }
}

void source_link_end(SourceLink *self)
{
    source_link_tell(self, &(LinkRecord){.type = LINK_END});
}

void source_link_cancel(SourceLink *self)
{
    source_link_tell(self, &(LinkRecord){.type = LINK_CANCELLED});
    link_sender_cancel(&self->sender, frame_writer_sent(self->writer));
}

void source_link_say(SourceLink *self, SourceLinkRecords *append)
{
    g_autoptr(GByteArray) out = g_byte_array_new();

    if (self->sender.phase == LINK_ACKED) {
        append(self->opaque, out);
        frame_writer_tell(self->writer, out->data, out->len);
    }
}

/* Is the oldest record no longer needed? */
static bool source_link_is_past(const SourceLink *self,
                                const PacketRecord *oldest)
{
    uint64_t end =
        frame_writer_oldest(self->writer) + frame_writer_parts(oldest);

    if (self->mode == LINK_MODE_OFF) {
        return true;
    }
    if (self->sender.session != 0) {
        return end <= self->sender.settled;
    }
    return packet_queue_size(frame_writer_queue(self->writer)) -
               frame_writer_waiting(self->writer).bytes >
           UNDER_WAY_MAX;
}

void source_link_trim(SourceLink *self)
{
    const PacketQueue *queue = frame_writer_queue(self->writer);
    uint64_t next = frame_writer_next(self->writer).number;
    PacketCursor head;

    while ((head = packet_queue_head(queue)).number < next &&
           source_link_is_past(self, packet_queue_at(queue, &head))) {
        frame_writer_trim(self->writer, head.number + 1);
    }
}

json_t *source_link_to_json(const SourceLink *self)
{
    const LinkSender *sender = &self->sender;
    bool acked = sender->session != 0;

    return json_pack(
        "{s:b, s:I, s:I, s:I, s:I, s:o*}", "acknowledged", acked, "unconfirmed",
        acked ? (json_int_t)(frame_writer_sent(self->writer) - sender->received)
              : 0,
        "repeated", (json_int_t)sender->repeated, "lost",
        (json_int_t)sender->lost, "vanished", (json_int_t)self->vanished,
        "missing",
        self->missing_known ? json_integer((json_int_t)self->missing) : NULL);
}

SourceLink *source_link_new(const char *name, LinkMode mode, bool vnet,
                            FrameWriter *writer, SourceLinkRecords *append,
                            void *opaque)
{
    SourceLink *self = g_new0(SourceLink, 1);

    self->name = name;
    self->mode = mode;
    self->vnet = vnet;
    self->writer = writer;
    self->append = append;
    self->opaque = opaque;
    self->timer = LOOP_TIMER_INIT;
    loop_timer_open(&self->timer, source_link_unanswered, self);
    if (frame_writer_connected(writer)) {
        source_link_opened(self);
    }
    return self;
}

void source_link_free(SourceLink *self)
{
    if (self) {
        loop_timer_close(&self->timer);
        g_free(self);
    }
}
