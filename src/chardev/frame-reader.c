/* SPDX-License-Identifier: BSD-2-Clause */
#include "chardev/frame-reader.h"

#include "base/log.h"
#include "packet/vnet.h"
#include "wire/framer.h"
#include "wire/link-record.h"

#include <errno.h>
#include <string.h>

/* Room for many frames per read, and at least for the largest. */
#define READ_BUFFER (256 * 1024)
/* Reads per wakeup. */
#define READS_MAX 8

struct FrameReader {
    const FrameReaderHandlers *handlers;
    void *opaque;
    Chardev *chardev;
    bool shared; /* the frontend of the chardev is the owner */
    Framer framer;
    bool paused;
    bool broken; /* the framing was violated, until the next connection */
    bool busy;   /* frames are being passed on */
    /* The first length word of a connection, and whether it is expected. */
    uint8_t word[4];
    unsigned word_len;
    bool opening;
    bool asked; /* within it: LINK_ASK was answered */
    LogLimit limit;
    PacketBatch batch;
};

static void reader_flush(FrameReader *self)
{
    if (self->batch.n > 0) {
        self->handlers->packets(self->opaque, &self->batch);
        self->batch.n = 0;
    }
}

/* What can't be disconnected (a pipe) is left alone, for good: where a frame
 * begins in what still comes is not known any more. */
static void reader_want(FrameReader *self)
{
    bool lost = self->broken && self->chardev->connected;

    chardev_want_read(self->chardev, !lost && (!self->paused || self->opening));
}

static void reader_break(FrameReader *self, FramerResult result,
                         const FramerFrame *frame)
{
    self->handlers->malformed(self->opaque, frame->len);
    self->broken = true;
    chardev_disconnect(self->chardev);
    reader_want(self);
    if (log_limit_pass(&self->limit)) {
        log_warning("chardev",
                    "%s: the peer announced a frame of %u bytes with a header "
                    "of %u, which can not be%s; %s",
                    self->chardev->object.id, frame->len, frame->vnet_hdr_len,
                    result == FRAMER_OVERSIZE
                        ? ""
                        : "; is vnet_hdr_support the same on both ends?",
                    self->chardev->connected
                        ? "reading no more until the filter is made anew"
                        : "closed the connection");
    }
}

/* Passes on the frames in the buffer, until a handler pauses us. */
static void reader_parse(FrameReader *self)
{
    FramerResult result = FRAMER_FRAME;
    FramerFrame frame = {0};

    while (!self->paused && !self->broken && result == FRAMER_FRAME) {
        result = framer_next(&self->framer, &frame);
        if (result == FRAMER_RECORD) {
            reader_flush(self);
            self->handlers->record(self->opaque, frame.payload, frame.len);
            result = FRAMER_FRAME;
        } else if (result == FRAMER_FRAME) {
            self->batch.packets[self->batch.n++] =
                vnet_parse(frame.payload, frame.len, frame.vnet_hdr_len);
            /* The headers have been read. */
            self->batch.packets[self->batch.n - 1].headroom = (uint16_t)MIN(
                (size_t)(self->framer.vnet ? 8 : 4) + frame.vnet_hdr_len,
                UINT16_MAX);
        }
        if (self->batch.n == PACKET_BATCH_MAX || result != FRAMER_FRAME) {
            reader_flush(self);
        }
    }
    if (result == FRAMER_OVERSIZE || result == FRAMER_MALFORMED) {
        reader_break(self, result, &frame);
    }
}

/* Reads the first length word of a connection. If only its first byte is
 * there, that is LINK_ASK: other senders do not pause there. False: it is
 * incomplete. */
static bool reader_open(FrameReader *self)
{
    ssize_t n;

    while (self->word_len < sizeof(self->word)) {
        n = chardev_read(self->chardev, self->word + self->word_len,
                         self->word_len ? sizeof(self->word) - self->word_len
                                        : 1);
        if (n <= 0) {
            self->asked = self->asked || (n == -EAGAIN && self->word_len == 1 &&
                                          self->word[0] == LINK_ASK &&
                                          self->handlers->asked(self->opaque));
            return false;
        }
        self->word_len += (unsigned)n;
    }
    self->opening = false;
    self->framer.records = self->asked && framer_frame_len(self->word) == 4;
    if (self->framer.records) {
        self->word_len = 0; /* an empty frame: the peer supports records */
    }
    reader_want(self);
    return true;
}

/* A frame's length word: parsed like all others. */
static void reader_take_word(FrameReader *self)
{
    size_t room;

    if (self->word_len > 0) {
        self->handlers->plain(self->opaque);
        memcpy(framer_room(&self->framer, &room), self->word, self->word_len);
        framer_filled(&self->framer, self->word_len);
        self->word_len = 0;
    }
}

void frame_reader_readable(FrameReader *self)
{
    size_t room = 0;
    ssize_t n = 0;

    if (self->busy || (self->opening && !reader_open(self)) || self->paused) {
        return;
    }
    reader_take_word(self);
    self->busy = true;
    /* A short read: the socket is empty. */
    for (int i = 0;
         i < READS_MAX && n == (ssize_t)room && !self->paused && !self->broken;
         i++) {
        uint8_t *to = framer_room(&self->framer, &room);

        n = chardev_read(self->chardev, to, room);
        if (n > 0) {
            framer_filled(&self->framer, (size_t)n);
            reader_parse(self);
        }
    }
    self->busy = false;
}

void frame_reader_opened(FrameReader *self)
{
    self->broken = false;
    self->framer.records = false;
    self->opening = self->handlers->asked && self->chardev &&
                    chardev_is_duplex(self->chardev);
    self->asked = false;
    self->word_len = 0;
    if (self->opening) {
        chardev_want_read(self->chardev, true);
    }
}

void frame_reader_closed(FrameReader *self)
{
    /* The next connection starts with a new frame. Complete frames that came
     * while we were paused are still to be passed on. */
    framer_end_stream(&self->framer);
    self->opening = false;
    self->word_len = 0;
    if (self->handlers->closed) {
        self->handlers->closed(self->opaque);
    }
}

static void reader_readable(void *opaque)
{
    frame_reader_readable(opaque);
}

static void reader_opened(void *opaque)
{
    frame_reader_opened(opaque);
}

static void reader_closed(void *opaque)
{
    frame_reader_closed(opaque);
}

static const ChardevHandlers reader_chardev_handlers = {
    .opened = reader_opened,
    .closed = reader_closed,
    .readable = reader_readable,
};

static FrameReader *reader_new(bool vnet, const FrameReaderHandlers *handlers,
                               void *opaque)
{
    FrameReader *self = g_new0(FrameReader, 1);

    self->handlers = handlers;
    self->opaque = opaque;
    self->paused = true;
    framer_init(&self->framer, vnet, READ_BUFFER);
    return self;
}

FrameReader *frame_reader_new_shared(Chardev *chardev, bool vnet,
                                     const FrameReaderHandlers *handlers,
                                     void *opaque)
{
    FrameReader *self = reader_new(vnet, handlers, opaque);

    self->chardev = chardev;
    self->shared = true;
    return self;
}

FrameReader *frame_reader_new(const char *chardev, bool vnet,
                              const FrameReaderHandlers *handlers, void *opaque,
                              GError **errp)
{
    FrameReader *self = reader_new(vnet, handlers, opaque);

    self->chardev =
        chardev_claim(chardev, &reader_chardev_handlers, self, errp);
    if (!self->chardev) {
        frame_reader_free(self);
        return NULL;
    }
    if (self->chardev->connected) {
        /* Again, as opened() could not yet use self->chardev. */
        frame_reader_opened(self);
    }
    return self;
}

void frame_reader_free(FrameReader *self)
{
    if (self) {
        if (self->chardev && !self->shared &&
            (self->framer.end > self->framer.start || self->word_len > 0 ||
             self->framer.records)) {
            /* Within a frame, or with records on the connection: the next
             * frontend would misread the bytes that follow. */
            chardev_disconnect(self->chardev);
        }
        if (!self->shared) {
            chardev_release(self->chardev);
        }
        framer_free(&self->framer);
        g_free(self);
    }
}

void frame_reader_pause(FrameReader *self, bool paused)
{
    if (self->paused == paused) {
        return;
    }
    self->paused = paused;
    reader_want(self);
    if (!paused && !self->busy) {
        /* Frames read before the pause are passed on first. */
        self->busy = true;
        reader_parse(self);
        self->busy = false;
    }
}

void frame_reader_peek(const FrameReader *self,
                       void (*func)(void *opaque, const Packet *packet),
                       void *opaque)
{
    Framer probe = self->framer;
    FramerFrame frame;
    FramerResult result;

    while ((result = framer_next(&probe, &frame)) <= FRAMER_RECORD) {
        if (result == FRAMER_FRAME) {
            Packet packet =
                vnet_parse(frame.payload, frame.len, frame.vnet_hdr_len);

            func(opaque, &packet);
        }
    }
}

size_t frame_reader_answer(FrameReader *self, const uint8_t *bytes, size_t n)
{
    struct iovec iov = {(void *)bytes, n};
    ssize_t sent = chardev_writev(self->chardev, &iov, 1);

    return sent > 0 ? (size_t)sent : 0;
}

void frame_reader_set_renewable(FrameReader *self, bool renewable)
{
    chardev_set_renewable(self->chardev, renewable);
}
