/* SPDX-License-Identifier: BSD-2-Clause */
#include "chardev/frame-writer.h"

#include "packet/segment.h"
#include "packet/vnet.h"
#include "wire/framer.h"

#include <errno.h>
#include <string.h>

/* One writev: many small frames, but not more than a cache holds. */
#define RUN_FRAMES 64
#define RUN_BYTES (256 * 1024)
/* One turn, so that a fast peer does not starve the rest of the loop. */
#define TURN_BYTES (4 * 1024 * 1024)

struct FrameWriter {
    FrameWriterConfig config;
    const FrameWriterHandlers *handlers;
    void *opaque;
    Chardev *chardev;
    bool shared; /* the chardev's frontend is somebody else */
    bool shipping;
    bool closing; /* shipping ends behind the frame under way */
    bool running; /* frame_writer_run() is under way */
    bool starved; /* somebody was told FRAME_APPEND_FULL */
    PacketQueue queue;
    PacketCursor next;      /* the next to send */
    uint64_t waiting_bytes; /* of the frames from @next on */
    size_t partial;         /* bytes of @next's wire form already sent */
    GByteArray *spill;      /* wire form of a frame that goes out in segments */
    bool spilling;          /* @next is in @spill */
    GByteArray *rest;       /* of a frame that left the queue half sent */
    uint8_t *scratch;
};

void frame_writer_opened(FrameWriter *self)
{
    self->partial = 0; /* the new peer gets whole frames */
    frame_writer_run(self);
}

void frame_writer_closed(FrameWriter *self)
{
    self->partial = 0;
    g_byte_array_set_size(self->rest, 0);
    if (self->closing) {
        self->closing = false;
        self->shipping = false;
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
    uint8_t ignored[4096];

    /* Nothing is expected this way; reading finds out that a peer left. */
    while (chardev_read(self->chardev, ignored, sizeof(ignored)) > 0) {
    }
}

static void writer_writable(void *opaque)
{
    frame_writer_run(opaque);
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
        (self->partial > 0 || self->rest->len > 0)) {
        /* The peer waits for the rest of a frame: whoever uses the chardev
         * next is to begin with a frame of its own. */
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
    return (Counter){.packets = self->queue.next - self->next.number,
                     .bytes = self->waiting_bytes};
}

bool frame_writer_is_full(const FrameWriter *self)
{
    uint64_t waiting = self->queue.next - self->next.number;

    return self->waiting_bytes + waiting * sizeof(PacketRecord) >=
           self->config.limit;
}

/* Passes the record at the cursor. */
static void writer_pass(FrameWriter *self, FrameFate fate)
{
    PacketRecord *record = packet_queue_at(&self->queue, &self->next);

    self->waiting_bytes -= record->len;
    self->handlers->done(self->opaque, record, fate);
    packet_cursor_advance(&self->next);
    self->partial = 0;
    self->spilling = false;
    if (!self->config.retain) {
        frame_writer_trim(self, self->next.number);
    }
    if (self->closing) {
        self->closing = false;
        self->shipping = false;
    }
    if (self->starved && !frame_writer_is_full(self)) {
        self->starved = false;
        if (self->handlers->room) {
            self->handlers->room(self->opaque);
        }
    }
}

/* Bytes in front of a record's data when it goes out as it is. */
static size_t writer_prefix(const FrameWriter *self)
{
    return self->config.vnet_len ? FRAMER_HEADER_MAX + self->config.vnet_len
                                 : 4;
}

static void writer_write_prefix(const FrameWriter *self, PacketRecord *record)
{
    uint8_t *prefix = record->data - writer_prefix(self);
    struct virtio_net_hdr_mrg_rxbuf vnet = {.hdr = record->vnet};
    size_t n;

    G_STATIC_ASSERT(FRAMER_HEADER_MAX + sizeof(vnet) <= PACKET_RECORD_HEADROOM);
    if (!self->config.vnet_len) {
        framer_header(prefix, false, record->len, 0);
        return;
    }
    n = framer_header(prefix, true, record->len + self->config.vnet_len,
                      self->config.vnet_len);
    memcpy(prefix + n, &vnet, self->config.vnet_len);
}

PacketRecord *frame_writer_append_always(FrameWriter *self,
                                         const Packet *packet)
{
    PacketRecord *record = packet_queue_append(&self->queue, packet);

    self->waiting_bytes += record->len;
    writer_write_prefix(self, record);
    return record;
}

PacketRecord *frame_writer_append_missing(FrameWriter *self)
{
    return packet_queue_append_missing(&self->queue);
}

/* Takes the frame that is half sent out of the queue, so that those behind it
 * can be dropped. It counts as sent: the peer is owed the rest in any case. */
static void writer_detach(FrameWriter *self)
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

FrameAppend frame_writer_append(FrameWriter *self, const Packet *packet)
{
    if (!frame_writer_connected(self) && !self->config.queue_without_peer) {
        return FRAME_APPEND_DISCONNECTED;
    }
    if (frame_writer_is_full(self)) {
        frame_writer_run(self); /* this batch has not been offered yet */
    }
    if (frame_writer_is_full(self)) {
        if (self->config.policy != FULL_DROP_OLDEST) {
            self->starved = true;
            return FRAME_APPEND_FULL;
        }
        if (self->partial > 0) {
            writer_detach(self);
        }
        while (frame_writer_is_full(self) &&
               self->next.number < self->queue.next) {
            writer_pass(self, FRAME_DROPPED);
        }
    }
    frame_writer_append_always(self, packet);
    return FRAME_APPEND_OK;
}

void frame_writer_drop_waiting(FrameWriter *self)
{
    while (self->partial == 0 && packet_queue_at(&self->queue, &self->next)) {
        writer_pass(self, FRAME_DROPPED);
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
    self->spilling =
        packet_segment(&packet, self->scratch, writer_spill_segment, self) > 0;
    return self->spilling;
}

static bool writer_needs_spill(const FrameWriter *self,
                               const PacketRecord *record)
{
    Packet packet = packet_record_view(record);

    return !self->config.vnet_len && packet_is_offloaded(&packet);
}

/* Nobody takes more than PACKET_MAX_LEN, with the virtio-net header: QEMU's
 * redirector reads no more after such a frame, ours ends the connection. */
static bool writer_fits(const FrameWriter *self, const PacketRecord *record)
{
    return record->len <= PACKET_MAX_LEN - self->config.vnet_len;
}

/* Does the record go out as it is? */
static bool writer_is_ready(const FrameWriter *self, const PacketRecord *record)
{
    return record->len > 0 && writer_fits(self, record) &&
           !writer_needs_spill(self, record);
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
           writer_is_ready(self, record)) {
        iov[n].iov_base = record->data - prefix;
        iov[n].iov_len = record->len + prefix;
        bytes += iov[n++].iov_len;
        packet_cursor_advance(&cursor);
        if (self->closing) {
            break;
        }
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
        if (record->len == 0) {
            writer_pass(self, FRAME_MISSING);
        } else if (self->spilling || writer_is_ready(self, record) ||
                   (writer_fits(self, record) &&
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

void frame_writer_run(FrameWriter *self)
{
    bool connected = frame_writer_connected(self), more;
    size_t turn = 0;
    ssize_t sent;

    if (!connected || self->running) {
        return; /* no peer, or a handler came back to us */
    }
    self->running = true;
    more = !writer_send_rest(self);
    while (!more && (more = writer_prepare(self)) && turn < TURN_BYTES) {
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

void frame_writer_start(FrameWriter *self, uint64_t number)
{
    PacketRecord *record;

    self->next = packet_queue_head(&self->queue);
    self->waiting_bytes = self->queue.bytes;
    while (self->next.number < number &&
           (record = packet_queue_at(&self->queue, &self->next))) {
        self->waiting_bytes -= record->len;
        packet_cursor_advance(&self->next);
    }
    self->partial = 0;
    self->spilling = false;
    self->shipping = true;
    self->closing = false;
    frame_writer_run(self);
}

uint64_t frame_writer_stop(FrameWriter *self)
{
    if (self->partial > 0) {
        self->closing = true; /* the peer is owed the rest of it */
        return self->next.number + 1;
    }
    self->shipping = false;
    return self->next.number;
}

bool frame_writer_is_shipping(const FrameWriter *self)
{
    return self->shipping;
}

void frame_writer_set_retain(FrameWriter *self, bool retain)
{
    self->config.retain = retain;
    if (!retain && self->shipping) {
        frame_writer_trim(self, self->next.number);
    }
}

void frame_writer_trim(FrameWriter *self, uint64_t number)
{
    while (self->queue.head.number < MIN(number, self->queue.next)) {
        if (self->queue.head.number >= self->next.number) {
            PacketRecord *record;

            if (self->shipping) {
                break;
            }
            record = packet_queue_at(&self->queue, &self->next);
            self->waiting_bytes -= record->len;
            packet_cursor_advance(&self->next);
        }
        packet_queue_pop(&self->queue);
    }
}
