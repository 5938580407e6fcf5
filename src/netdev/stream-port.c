/* SPDX-License-Identifier: BSD-2-Clause */
#include "netdev/stream-port.h"

/* What comes in */

static void port_packets(void *opaque, const PacketBatch *batch)
{
    StreamPort *self = opaque;

    netdev_receive(self->netdev, DIRECTION_TX, batch);
}

static void port_malformed(void *opaque, uint32_t len)
{
    StreamPort *self = opaque;

    counter_add(&self->netdev->malformed, 1, len);
}

static const FrameReaderHandlers port_reader_handlers = {
    .packets = port_packets,
    .malformed = port_malformed,
};

/* What goes out */

static void port_done(void *opaque, PacketRecord *record, FrameFate fate)
{
    StreamPort *self = opaque;

    if (fate != FRAME_SENT) {
        counter_add(&self->netdev->unsent, 1, record->len);
    }
}

/* Without it the writer would make a record of each frame. */
static void port_passed(void *opaque, Counter frames)
{
}

static const FrameWriterHandlers port_writer_handlers = {
    .done = port_done,
    .passed = port_passed,
};

void stream_port_send(StreamPort *self, const Packet *packet)
{
    /* Empty frames are not sent. */
    if (packet->len > 0 &&
        frame_writer_append(self->writer, packet) != FRAME_APPEND_OK) {
        counter_add(&self->netdev->unsent, 1, packet->len);
    }
}

void stream_port_flush(StreamPort *self)
{
    frame_writer_run(self->writer);
}

/* The connection */

static void port_opened(void *opaque)
{
    StreamPort *self = opaque;

    frame_reader_opened(self->reader);
    if (self->changed) {
        self->changed(self->netdev);
    }
    frame_writer_opened(self->writer);
}

static void port_closed(void *opaque)
{
    StreamPort *self = opaque;

    frame_reader_closed(self->reader);
    frame_writer_closed(self->writer);
    /* Frames for the peer that has left are not sent to the next one. */
    frame_writer_drop_waiting(self->writer);
    if (self->changed) {
        self->changed(self->netdev);
    }
}

static void port_readable(void *opaque)
{
    frame_reader_readable(((StreamPort *)opaque)->reader);
}

static void port_writable(void *opaque)
{
    frame_writer_writable(((StreamPort *)opaque)->writer);
}

static const ChardevHandlers port_chardev_handlers = {
    .opened = port_opened,
    .closed = port_closed,
    .readable = port_readable,
    .writable = port_writable,
};

bool stream_port_open(StreamPort *self, Netdev *netdev,
                      const ChardevSocketConfig *config, GError **errp)
{
    FrameWriterConfig writer = {
        .limit = STREAM_PORT_QUEUE_BYTES,
        .policy = FULL_DROP_NEWEST,
        .shipping = true,
    };

    self->netdev = netdev;
    self->chardev = chardev_socket_new(config, errp);
    if (!self->chardev) {
        return false;
    }
    self->reader = frame_reader_new_shared(self->chardev, false,
                                           &port_reader_handlers, self);
    self->writer = frame_writer_new_shared(self->chardev, &writer,
                                           &port_writer_handlers, self);
    chardev_attach(self->chardev, &port_chardev_handlers, self);
    frame_reader_pause(self->reader, false);
    return true;
}

void stream_port_close(StreamPort *self)
{
    if (self->chardev) {
        chardev_release(self->chardev);
        frame_reader_free(self->reader);
        frame_writer_free(self->writer);
        object_destroy(&self->chardev->object);
        self->chardev = NULL;
    }
}

bool stream_port_peer(const StreamPort *self, Address *address)
{
    return self->chardev->connected &&
           chardev_socket_peer(self->chardev, address);
}
