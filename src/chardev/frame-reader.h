/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The receiving end of a link: frames in QEMU's framing from a chardev,
 * handed on in batches. The parser starts anew with every connection; a peer
 * that breaks the framing is disconnected at once.
 *
 * Pausing is back-pressure: bytes stay in the socket and, in the end, at the
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
    /* A frame that can't be; its length as the peer gave it. */
    void (*malformed)(void *opaque, uint32_t len);
    /* For who knows records (wire/link-record.h); NULL: nobody does. The peer
     * asks, before anything else, even while the reader is paused. True: it has
     * been answered, by frame_reader_answer(). */
    bool (*asked)(void *opaque);
    /* The frames of a connection begin whose peer has not accepted an answer,
     * and all earlier ones were handed out. */
    void (*plain)(void *opaque);
    /* A record, in its place between frames. */
    void (*record)(void *opaque, const uint8_t *body, size_t len);
    void (*closed)(void *opaque);
} FrameReaderHandlers;

FrameReader *frame_reader_new(const char *chardev, bool vnet,
                              const FrameReaderHandlers *handlers, void *opaque,
                              GError **errp);
/* One that shares @chardev with a writer: their owner is its frontend and
 * passes on what it is told by the three functions below. */
FrameReader *frame_reader_new_shared(Chardev *chardev, bool vnet,
                                     const FrameReaderHandlers *handlers,
                                     void *opaque);
void frame_reader_opened(FrameReader *reader);
void frame_reader_closed(FrameReader *reader);
void frame_reader_readable(FrameReader *reader);

/* Harmless with NULL. */
void frame_reader_free(FrameReader *reader);

/* Calls @func for each frame that has come whole and is not handed out yet. */
void frame_reader_peek(const FrameReader *reader,
                       void (*func)(void *opaque, const Packet *packet),
                       void *opaque);

/* Tells the peer something; returns how much of it the kernel took. */
size_t frame_reader_answer(FrameReader *reader, const uint8_t *bytes, size_t n);

/* What a peer leaves unread when it goes, it sends again when it comes back:
 * see chardev.h. */
void frame_reader_set_renewable(FrameReader *reader, bool renewable);

/* A reader starts paused. */
void frame_reader_pause(FrameReader *reader, bool paused);

#endif
