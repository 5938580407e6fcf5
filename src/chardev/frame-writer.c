/* SPDX-License-Identifier: BSD-2-Clause */
#include "chardev/frame-writer-internal.h"
#include "packet/segment.h"
#include "packet/vnet.h"
#include "wire/framer.h"

#include <errno.h>
#include <string.h>

/* One writev: not more than a cache holds. */
#define RUN_BYTES (256 * 1024)
/* One turn, so that a fast peer does not starve the rest of the loop. */
#define TURN_BYTES (4 * 1024 * 1024)

/* How many whole frames there are in the first @len bytes of the spill. */
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

/* Bytes in front of a frame that goes out as it is. */
static size_t writer_prefix(const FrameWriter *self)
{
    return self->config.vnet_len ? FRAMER_HEADER_MAX + self->config.vnet_len
                                 : 4;
}

/* Writes the wire header in front of @packet; returns its wire form. */
static struct iovec writer_put_prefix(const FrameWriter *self,
                                      const Packet *packet)
{
    struct virtio_net_hdr_mrg_rxbuf vnet = {.hdr = packet->vnet};
    size_t prefix = writer_prefix(self), n;
    uint8_t *wire = packet_push(packet, prefix);

    G_STATIC_ASSERT(FRAMER_HEADER_MAX + sizeof(vnet) <= PACKET_RECORD_HEADROOM);
    n = framer_header(wire, self->config.vnet_len > 0,
                      packet->len + self->config.vnet_len,
                      self->config.vnet_len);
    memcpy(wire + n, &vnet, self->config.vnet_len);
    return (struct iovec){wire, packet->len + prefix};
}

static PacketRecord *writer_append(FrameWriter *self, const Packet *packet)
{
    PacketRecord *record = packet_queue_append(&self->queue, packet);
    Packet view = packet_record_view(record);

    self->waiting_bytes += record->len;
    writer_put_prefix(self, &view);
    return record;
}

/* Copies what is left of the run, from @i on, into the queue. */
static void writer_keep_run(FrameWriter *self, unsigned i)
{
    unsigned n = self->run.n;

    self->run.n = 0;
    self->run.bytes = 0;
    for (; i < n; i++) {
        writer_append(self, &self->run.packets[i]);
    }
}

static void writer_run(FrameWriter *self);

void frame_writer_opened(FrameWriter *self)
{
    self->partial = 0; /* the new peer gets whole frames */
    if (self->chardev && self->handlers->opened) {
        self->handlers->opened(self->opaque);
    }
    writer_run(self);
}

void frame_writer_closed(FrameWriter *self)
{
    writer_keep_run(self, 0);
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

    /* Else nothing is expected; reading finds out that a peer left. */
    while ((n = chardev_read(self->chardev, bytes, sizeof(bytes))) > 0) {
        if (self->handlers->said) {
            self->handlers->said(self->opaque, bytes, (size_t)n);
        }
    }
}

static void writer_writable(void *opaque)
{
    writer_run(opaque);
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
        /* The peer waits for the rest of a frame, or for us: whoever uses the
         * chardev next is to begin with a frame of its own. */
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

bool frame_writer_is_full(const FrameWriter *self)
{
    Counter waiting = frame_writer_waiting(self);

    return waiting.bytes + waiting.packets * sizeof(PacketRecord) >=
           self->config.limit;
}

/* How many frames on the wire the record at the cursor is. */
static unsigned writer_parts_under_way(const FrameWriter *self)
{
    return self->spilling ? MIN(self->spilled, PARTS_SKIP - 1) : 1;
}

/* Moves the cursor behind @record. */
static void writer_step(FrameWriter *self, const PacketRecord *record)
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

/* Passes the record at the cursor. */
static void writer_pass(FrameWriter *self, FrameFate fate)
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
    writer_step(self, record);
    if (!self->config.retain) {
        frame_writer_trim(self, self->next.number);
    }
    if (self->starved && !frame_writer_is_full(self)) {
        self->starved = false;
        if (self->handlers->room) {
            self->handlers->room(self->opaque);
        }
    }
}

/* Gives up the record at the cursor. */
static void writer_drop(FrameWriter *self)
{
    PacketRecord *record = packet_queue_at(&self->queue, &self->next);

    if (record->parts == PARTS_SKIP) {
        writer_step(self, record);
    } else {
        writer_pass(self, FRAME_DROPPED);
    }
}

PacketRecord *frame_writer_append_always(FrameWriter *self,
                                         const Packet *packet)
{
    writer_keep_run(self, 0);
    return writer_append(self, packet);
}

PacketRecord *frame_writer_append_missing(FrameWriter *self)
{
    writer_keep_run(self, 0);
    return packet_queue_append_missing(&self->queue);
}

void frame_writer_detach(FrameWriter *self)
{
    PacketRecord *record = packet_queue_at(&self->queue, &self->next);
    size_t prefix = writer_prefix(self);
    const uint8_t *bytes =
        self->spilling ? self->spill->data : record->data - prefix;
    size_t len = self->spilling ? self->spill->len : record->len + prefix;

    g_byte_array_append(self->rest, bytes + self->partial,
                        (guint)(len - self->partial));
    writer_pass(self, FRAME_SENT);
}

/* Nobody takes more than PACKET_MAX_LEN, with the virtio-net header: QEMU's
 * redirector reads no more after such a frame, ours ends the connection. */
static bool writer_fits(const FrameWriter *self, uint32_t len)
{
    return len <= PACKET_MAX_LEN - self->config.vnet_len;
}

/* Does the packet go out as it is? */
static bool writer_is_ready(const FrameWriter *self, const Packet *packet)
{
    return packet->len > 0 && writer_fits(self, packet->len) &&
           (self->config.vnet_len || !packet_is_offloaded(packet));
}

/* May the packet stay where it is until frame_writer_run()? */
static bool writer_may_lend(const FrameWriter *self, const Packet *packet)
{
    return self->handlers->passed && frame_writer_connected(self) &&
           self->shipping && self->rest->len == 0 &&
           !self->chardev->want_write &&
           self->next.number == self->queue.next && self->run.n < RUN_FRAMES &&
           self->run.bytes < RUN_BYTES &&
           packet->headroom >= writer_prefix(self) &&
           writer_is_ready(self, packet);
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
    writer_keep_run(self, 0);
    while (self->partial == 0 && packet_queue_at(&self->queue, &self->next)) {
        writer_drop(self);
    }
}

static void writer_spill_segment(void *opaque, const Packet *segment)
{
    FrameWriter *self = opaque;
    uint8_t header[FRAMER_HEADER_MAX];
    size_t n = framer_header(header, false, segment->len, 0);

    g_byte_array_append(self->spill, header, (guint)n);
    g_byte_array_append(self->spill, segment->data, segment->len);
}

/* Writes the wire form of an offloaded frame to the spill. */
static bool writer_fill_spill(FrameWriter *self, const PacketRecord *record)
{
    Packet packet = packet_record_view(record);

    if (!self->scratch) {
        self->scratch = g_malloc(PACKET_MAX_LEN);
    }
    g_byte_array_set_size(self->spill, 0);
    self->spilled =
        packet_segment(&packet, self->scratch, writer_spill_segment, self);
    self->spilling = self->spilled > 0;
    self->skip = self->skip < self->spilled ? self->skip : 0;
    for (; self->skip > 0; self->skip--) {
        self->partial += framer_frame_len(self->spill->data + self->partial);
    }
    return self->spilling;
}

static bool writer_record_is_ready(const FrameWriter *self,
                                   const PacketRecord *record)
{
    Packet packet = packet_record_view(record);

    return record->parts < PARTS_SKIP && writer_is_ready(self, &packet);
}

/* Gathers a run of records that go out as they are, from the cursor on. */
static int writer_gather(FrameWriter *self, struct iovec *iov)
{
    PacketCursor cursor = self->next;
    size_t prefix = writer_prefix(self), bytes = 0;
    PacketRecord *record;
    int n = 0;

    while (n < RUN_FRAMES && bytes < RUN_BYTES &&
           (record = packet_queue_at(&self->queue, &cursor)) &&
           writer_record_is_ready(self, record)) {
        iov[n].iov_base = record->data - prefix;
        iov[n].iov_len = record->len + prefix;
        bytes += iov[n++].iov_len;
        packet_cursor_advance(&cursor);
    }
    return n;
}

/* Passes the records whose bytes @sent covers. */
static void writer_account(FrameWriter *self, const struct iovec *iov, int n,
                           size_t sent)
{
    sent += self->partial;
    for (int i = 0; i < n; i++) {
        size_t len = iov[i].iov_len + (i == 0 ? self->partial : 0);

        if (sent < len) {
            break;
        }
        sent -= len;
        self->partial = 0;
        writer_pass(self, FRAME_SENT);
    }
    self->partial = sent;
}

/* Sends one run; returns bytes, or what chardev_writev() failed with. */
static ssize_t writer_send_run(FrameWriter *self)
{
    struct iovec iov[RUN_FRAMES];
    ssize_t sent;
    int n = 1;

    if (self->spilling) {
        iov[0] = (struct iovec){self->spill->data, self->spill->len};
    } else {
        n = writer_gather(self, iov);
        g_assert(n > 0); /* writer_prepare() saw one */
    }
    if (self->asked) {
        self->asked = false;
        self->partial = 1;
    }
    iov[0].iov_base = (uint8_t *)iov[0].iov_base + self->partial;
    iov[0].iov_len -= self->partial;
    sent = chardev_writev(self->chardev, iov, n);
    if (sent > 0) {
        writer_account(self, iov, n, (size_t)sent);
    }
    return sent;
}

/* Steps over what can't be sent; true if there is something to send. */
static bool writer_prepare(FrameWriter *self)
{
    PacketRecord *record;

    while (self->shipping &&
           (record = packet_queue_at(&self->queue, &self->next))) {
        if (record->parts >= PARTS_SKIP) {
            writer_step(self, record); /* never, or it was passed before */
        } else if (record->len == 0) {
            writer_pass(self, FRAME_MISSING);
        } else if (self->spilling || writer_record_is_ready(self, record) ||
                   (writer_fits(self, record->len) &&
                    writer_fill_spill(self, record))) {
            return true;
        } else {
            writer_pass(self, FRAME_UNSENDABLE);
        }
    }
    return false;
}

/* Sends what is left of a frame that has left the queue; true if that is all
 * out. */
static bool writer_send_rest(FrameWriter *self)
{
    struct iovec iov = {self->rest->data, self->rest->len};
    ssize_t sent;

    if (self->rest->len == 0) {
        return true;
    }
    sent = chardev_writev(self->chardev, &iov, 1);
    if (sent > 0) {
        g_byte_array_remove_range(self->rest, 0, (guint)sent);
    }
    return self->rest->len == 0;
}

/* Sends the frames of the batch from where they are and keeps the rest; true
 * if that is nothing. */
static bool writer_send_lent(FrameWriter *self)
{
    struct iovec iov[RUN_FRAMES];
    Counter passed = {0};
    unsigned n = self->run.n;
    size_t left;
    ssize_t sent;

    if (n == 0) {
        return true;
    }
    for (unsigned i = 0; i < n; i++) {
        iov[i] = writer_put_prefix(self, &self->run.packets[i]);
    }
    sent = chardev_writev(self->chardev, iov, (int)n);
    left = (size_t)MAX(sent, 0);
    while (passed.packets < n && left >= iov[passed.packets].iov_len) {
        left -= iov[passed.packets].iov_len;
        counter_add(&passed, 1, self->run.packets[passed.packets].len);
    }
    self->partial = left;
    writer_keep_run(self, (unsigned)passed.packets);
    self->handlers->passed(self->opaque, passed);
    return passed.packets == n;
}

/* Sends whatever the peer takes. */
static void writer_run(FrameWriter *self)
{
    bool connected = frame_writer_connected(self), more;
    size_t turn = 0;
    ssize_t sent;

    if (!connected || self->running) {
        writer_keep_run(self, 0);
        return; /* no peer, or a handler came back to us */
    }
    self->running = true;
    more = !writer_send_lent(self) || !writer_send_rest(self);
    while (!more && !self->held && (more = writer_prepare(self)) &&
           turn < TURN_BYTES) {
        sent = writer_send_run(self);
        if (sent <= 0) {
            break; /* EAGAIN: later; else closed() is on its way */
        }
        turn += (size_t)sent;
        more = false;
    }
    self->running = false;
    if (frame_writer_connected(self)) {
        chardev_want_write(self->chardev, more);
    }
}

void frame_writer_run(FrameWriter *self)
{
    if (frame_writer_connected(self) && self->chardev->want_write) {
        writer_keep_run(self, 0); /* it is known to take nothing now */
    } else {
        writer_run(self);
    }
}

void frame_writer_writable(FrameWriter *self)
{
    writer_run(self);
}

void frame_writer_skip(PacketRecord *record)
{
    record->parts = PARTS_SKIP;
}

void frame_writer_start(FrameWriter *self, uint64_t number)
{
    PacketRecord *record;

    writer_keep_run(self, 0);
    frame_writer_forget_sent(self);
    self->next = packet_queue_head(&self->queue);
    self->fresh = self->next.number;
    self->waiting_bytes = self->queue.bytes;
    while (self->next.number < number &&
           (record = packet_queue_at(&self->queue, &self->next))) {
        writer_step(self, record);
    }
    self->partial = 0;
    self->spilling = false;
    self->shipping = true;
    frame_writer_run(self);
}

void frame_writer_stop(FrameWriter *self)
{
    writer_keep_run(self, 0);
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
            writer_step(self, record);
        }
        head = packet_queue_at(&self->queue, &self->queue.head);
        self->oldest += frame_writer_parts(head);
        packet_queue_pop(&self->queue);
    }
}
