/* SPDX-License-Identifier: BSD-2-Clause */
/* The writer: sending. */
#include "chardev/frame-writer-internal.h"
#include "packet/segment.h"
#include "packet/vnet.h"
#include "wire/framer.h"

#include <string.h>

/* Bytes per call, so that a fast peer does not starve the rest of the loop. */
#define TURN_BYTES (4 * 1024 * 1024)

size_t frame_writer_prefix(const FrameWriter *self)
{
    return self->config.vnet_len ? FRAMER_HEADER_MAX + self->config.vnet_len
                                 : 4;
}

struct iovec frame_writer_put_prefix(const FrameWriter *self,
                                     const Packet *packet)
{
    struct virtio_net_hdr_mrg_rxbuf vnet = {.hdr = packet->vnet};
    size_t prefix = frame_writer_prefix(self), n;
    uint8_t *wire = packet_push(packet, prefix);

    G_STATIC_ASSERT(FRAMER_HEADER_MAX + sizeof(vnet) <= PACKET_RECORD_HEADROOM);
    n = framer_header(wire, self->config.vnet_len > 0,
                      packet->len + self->config.vnet_len,
                      self->config.vnet_len);
    memcpy(wire + n, &vnet, self->config.vnet_len);
    return (struct iovec){wire, packet->len + prefix};
}

/* No receiver takes more than PACKET_MAX_LEN including the virtio-net
 * header: QEMU's redirector stops reading after such a frame, ours ends the
 * connection. */
static bool writer_fits(const FrameWriter *self, uint32_t len)
{
    return len <= PACKET_MAX_LEN - self->config.vnet_len;
}

bool frame_writer_is_ready(const FrameWriter *self, const Packet *packet)
{
    return packet->len > 0 && writer_fits(self, packet->len) &&
           (self->config.vnet_len || !packet_is_offloaded(packet));
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
    if (self->spilled - self->skip > 1 && self->handlers->cuts) {
        self->handlers->cuts(self->opaque, self->spilled - self->skip);
    }
    for (; self->skip > 0; self->skip--) {
        self->partial += framer_frame_len(self->spill->data + self->partial);
    }
    return self->spilling;
}

static bool writer_record_is_ready(const FrameWriter *self,
                                   const PacketRecord *record)
{
    Packet packet = packet_record_view(record);

    return record->parts < PARTS_SKIP && frame_writer_is_ready(self, &packet);
}

/* Collects a run of records that need no segmentation, from the cursor on. */
static int writer_gather(FrameWriter *self, struct iovec *iov)
{
    PacketCursor cursor = self->next;
    size_t prefix = frame_writer_prefix(self), bytes = 0;
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

/* Advances the cursor over the records that @sent bytes complete. */
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
        frame_writer_pass(self, FRAME_SENT);
    }
    self->partial = sent;
}

/* Sends one run; returns bytes, or the error of chardev_writev(). */
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

/* Skips what can't be sent; true if there is something to send. */
static bool writer_prepare(FrameWriter *self)
{
    PacketRecord *record;

    while (self->shipping &&
           (record = packet_queue_at(&self->queue, &self->next))) {
        if (record->parts >= PARTS_SKIP) {
            /* Marked by frame_writer_skip(), or passed before. */
            frame_writer_step(self, record);
        } else if (record->len == 0) {
            frame_writer_pass(self, FRAME_MISSING);
        } else if (self->spilling || writer_record_is_ready(self, record) ||
                   (writer_fits(self, record->len) &&
                    writer_fill_spill(self, record))) {
            return true;
        } else {
            frame_writer_pass(self, FRAME_UNSENDABLE);
        }
    }
    return false;
}

/* Sends @rest; true if it is empty then. */
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

/* Sends the frames of the batch without a copy, and queues the rest; true if
 * there is none. */
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
        iov[i] = frame_writer_put_prefix(self, &self->run.packets[i]);
    }
    sent = chardev_writev(self->chardev, iov, (int)n);
    left = (size_t)MAX(sent, 0);
    while (passed.packets < n && left >= iov[passed.packets].iov_len) {
        left -= iov[passed.packets].iov_len;
        counter_add(&passed, 1, self->run.packets[passed.packets].len);
    }
    self->partial = left;
    frame_writer_keep_run(self, (unsigned)passed.packets);
    self->handlers->passed(self->opaque, passed);
    return passed.packets == n;
}

void frame_writer_send(FrameWriter *self)
{
    bool connected = frame_writer_connected(self), more;
    size_t turn = 0;
    ssize_t sent;

    if (!connected || self->running) {
        frame_writer_keep_run(self, 0);
        return; /* no peer, or called from a handler */
    }
    self->running = true;
    more = !writer_send_lent(self) || !writer_send_rest(self);
    while (!more && !self->held && (more = writer_prepare(self)) &&
           turn < TURN_BYTES && writer_send_rest(self)) {
        sent = writer_send_run(self);
        if (sent <= 0) {
            break; /* EAGAIN: later; else closed() will be called */
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
        frame_writer_keep_run(self, 0); /* it is waited for */
    } else {
        frame_writer_send(self);
    }
}

void frame_writer_writable(FrameWriter *self)
{
    frame_writer_send(self);
}
