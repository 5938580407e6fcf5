/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sending end of a link: frames in QEMU's framing to a chardev, with a
 * bounded queue for a peer that is slow or absent.
 *
 * The owner appends the frames of a batch and calls frame_writer_run() before
 * the batch becomes invalid: frames that find the queue empty are sent without
 * a copy, and copied into the queue only if the peer does not take them. While
 * shipping is off, frames only accumulate (the history of a switchover); the
 * owner trims them, or starts shipping at a chosen record. With retain on,
 * records stay in the queue behind the send cursor until they are trimmed.
 *
 * A frame that was sent in part when the connection was lost is sent again as a
 * whole on the next. An owner that learns what has arrived
 * (wire/link-record.h) can go back further: frames on the wire are numbered
 * from 0 over the life of the writer, segments one by one, and a frame that is
 * sent again keeps its number. Without virtio-net headers on the wire offloaded
 * frames are segmented here. In its loop only.
 */
#ifndef TF_CHARDEV_FRAME_WRITER_H
#define TF_CHARDEV_FRAME_WRITER_H

#include "chardev/chardev.h"
#include "packet/queue.h"

/* The order of the words of the property "on-full". */
typedef enum FullPolicy {
    FULL_BLOCK,
    FULL_DROP_OLDEST,
    FULL_DROP_NEWEST,
} FullPolicy;

typedef enum FrameFate {
    FRAME_SENT,       /* the kernel has taken the last byte of it */
    FRAME_REPEATED,   /* once more: it was FRAME_SENT before */
    FRAME_UNSENDABLE, /* too large, or it can't be segmented */
    FRAME_MISSING,    /* its bytes were never seen */
    FRAME_DROPPED,    /* to make room (FULL_DROP_OLDEST) */
} FrameFate;

typedef enum FrameAppend {
    FRAME_APPEND_OK,
    FRAME_APPEND_FULL,         /* no room: not taken */
    FRAME_APPEND_DISCONNECTED, /* no peer: not taken */
} FrameAppend;

typedef struct FrameWriterHandlers {
    /* The cursor passes @record, which stays valid during the call. */
    void (*done)(void *opaque, PacketRecord *record, FrameFate fate);
    /* Frames of a batch were FRAME_SENT without becoming records. NULL: each
     * frame becomes one. */
    void (*passed)(void *opaque, Counter frames);
    /* The next @n frames on the wire (> 1) are segments of one record, those
     * that the peer has not got; records that the handler sends go in front of
     * them. NULL: not wanted. */
    void (*cuts)(void *opaque, unsigned n);
    /* There is room again after FRAME_APPEND_FULL: a quarter of the limit, or
     * 1 MiB. NULL: not wanted. */
    void (*room)(void *opaque);
    /* For an owner that exchanges records with the peer; NULL: none. opened()
     * is not called for a connection that exists when the writer is created;
     * said(): bytes came from the peer. */
    void (*opened)(void *opaque);
    void (*closed)(void *opaque);
    void (*said)(void *opaque, const uint8_t *bytes, size_t n);
} FrameWriterHandlers;

typedef struct FrameWriterConfig {
    const char *chardev; /* id; not used by frame_writer_new_shared() */
    uint32_t vnet_len;   /* bytes of each virtio-net header on the wire: 10 or
                            12; 0: there are none */
    uint64_t limit;      /* bytes that may wait */
    FullPolicy policy;
    bool queue_without_peer; /* else FRAME_APPEND_DISCONNECTED */
    bool retain;             /* see above */
    bool shipping;           /* initially */
} FrameWriterConfig;

typedef struct FrameWriter FrameWriter;

FrameWriter *frame_writer_new(const FrameWriterConfig *config,
                              const FrameWriterHandlers *handlers, void *opaque,
                              GError **errp);
/* One that shares @chardev with a reader: their owner is the frontend, reads,
 * and calls the three functions below from its handlers. */
FrameWriter *frame_writer_new_shared(Chardev *chardev,
                                     const FrameWriterConfig *config,
                                     const FrameWriterHandlers *handlers,
                                     void *opaque);
void frame_writer_opened(FrameWriter *writer);
void frame_writer_closed(FrameWriter *writer);
void frame_writer_writable(FrameWriter *writer);

/* Harmless with NULL. */
void frame_writer_free(FrameWriter *writer);

FrameAppend frame_writer_append(FrameWriter *writer, const Packet *packet);

/* Append without regard to the limit: a frame, and one whose bytes were never
 * seen. */
PacketRecord *frame_writer_append_always(FrameWriter *writer,
                                         const Packet *packet);
PacketRecord *frame_writer_append_missing(FrameWriter *writer);

/* True if what waits has reached the limit. */
bool frame_writer_is_full(const FrameWriter *writer);

/* Drops the frames that wait (FRAME_DROPPED), except one that was sent in part.
 */
void frame_writer_drop_waiting(FrameWriter *writer);

/* Sends as much as the peer takes now; nothing while the writer waits for the
 * chardev to become writable. */
void frame_writer_run(FrameWriter *writer);

/* Marks a record of the queue that was not sent: it never will be. */
void frame_writer_skip(PacketRecord *record);

/* Starts shipping at record @number, or the oldest if that is gone. */
void frame_writer_start(FrameWriter *writer, uint64_t number);
/* Stops; a frame that was sent in part is completed, and counts as sent. */
void frame_writer_stop(FrameWriter *writer);

bool frame_writer_is_shipping(const FrameWriter *writer);

/* Removes records before @number, except those still to be sent. */
void frame_writer_trim(FrameWriter *writer, uint64_t number);

/* The queue, with its history; owned by the writer. */
const PacketQueue *frame_writer_queue(const FrameWriter *writer);

/* The send cursor: the next record to send. */
PacketCursor frame_writer_next(const FrameWriter *writer);

/* Packets and bytes that wait to be sent for the first time. */
Counter frame_writer_waiting(const FrameWriter *writer);

bool frame_writer_connected(const FrameWriter *writer);

/* While held, no frames are sent. */
void frame_writer_hold(FrameWriter *writer, bool held);

/* Sends LINK_ASK as the first byte of a connection; false if the chardev is not
 * duplex. */
bool frame_writer_ask(FrameWriter *writer);

/* Sends @n bytes of records, after a frame that was sent in part is complete;
 * after LINK_ASK they continue the length word that it began. */
void frame_writer_tell(FrameWriter *writer, const uint8_t *bytes, size_t n);

/* Numbers on the wire: of the next frame, of the oldest that can be sent again,
 * and behind the last that may have reached a peer. */
uint64_t frame_writer_sent(const FrameWriter *writer);
uint64_t frame_writer_oldest(const FrameWriter *writer);
uint64_t frame_writer_reach(const FrameWriter *writer);

/* Continues with frame @number, between frame_writer_oldest() and
 * frame_writer_reach(). */
void frame_writer_seek(FrameWriter *writer, uint64_t number);

/* How many frames on the wire a record became; 0: it was not sent. */
unsigned frame_writer_parts(const PacketRecord *record);

#endif
