/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The receiving end of a link: frames in QEMU's framing from a chardev,
 * passed on in batches. The parser is reset with every connection; a peer that
 * violates the framing is disconnected; a chardev without connections (pipe) is
 * not read any more.
 *
 * Pausing is back-pressure: bytes stay in the socket buffers and then at the
 * sender. In its loop only.
 */
#ifndef TF_CHARDEV_FRAME_READER_H
#define TF_CHARDEV_FRAME_READER_H

#include "chardev/chardev.h"
#include "packet/packet.h"

typedef struct FrameReader FrameReader;

typedef struct FrameReaderHandlers {
    /* The batch is valid during the call, which may pause the reader. */
    void (*packets)(void *opaque, const PacketBatch *batch);
    /* A frame with an invalid header; @len as the peer gave it. */
    void (*malformed)(void *opaque, uint32_t len);
    /* The rest is for an owner that supports records (wire/link-record.h);
     * NULL: none.
     * LINK_ASK was the first that the peer has sent; called even while paused.
     * True: it has been answered, by frame_reader_answer(). */
    bool (*asked)(void *opaque);
    /* The frames of a connection without records begin, and all earlier frames
     * were passed on. */
    void (*plain)(void *opaque);
    /* A record came, in sequence with the frames. */
    void (*record)(void *opaque, const uint8_t *body, size_t len);
    void (*closed)(void *opaque);
} FrameReaderHandlers;

FrameReader *frame_reader_new(const char *chardev, bool vnet,
                              const FrameReaderHandlers *handlers, void *opaque,
                              GError **errp);
/* One that shares @chardev with a writer: their owner is the frontend and calls
 * the three functions below from its handlers. */
FrameReader *frame_reader_new_shared(Chardev *chardev, bool vnet,
                                     const FrameReaderHandlers *handlers,
                                     void *opaque);
void frame_reader_opened(FrameReader *reader);
void frame_reader_closed(FrameReader *reader);
void frame_reader_readable(FrameReader *reader);

/* Harmless with NULL. */
void frame_reader_free(FrameReader *reader);

/* Calls @func for each complete frame that was received and not passed on yet.
 */
void frame_reader_peek(const FrameReader *reader,
                       void (*func)(void *opaque, const Packet *packet),
                       void *opaque);

/* Writes @n bytes to the peer; returns how many the kernel took. */
size_t frame_reader_answer(FrameReader *reader, const uint8_t *bytes, size_t n);

/* See Chardev.renewable. */
void frame_reader_set_renewable(FrameReader *reader, bool renewable);

/* A reader starts paused. */
void frame_reader_pause(FrameReader *reader, bool paused);

#endif
