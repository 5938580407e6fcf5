/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sending end of a link: frames in QEMU's framing out to a chardev, with
 * a bounded queue for a peer that is slow or absent.
 *
 * The owner appends frames and calls frame_writer_run() once a batch, before
 * the batch ends: frames that find nothing waiting are sent from where they
 * are, and copied into the queue only if the peer does not take them. While
 * shipping is off, frames only gather (the history of a switchover); the
 * owner trims them, or starts shipping at a chosen number. With retain on,
 * records stay in the queue behind the send cursor until they are trimmed.
 *
 * A frame that is cut by a lost connection goes out whole on the next. Who
 * learns what of it arrived (wire/link-record.h) can go back: frames on the
 * wire are numbered from 0 over the life of the writer, the plain frames of an
 * offloaded one each for itself, and one that goes out again keeps its number.
 * Without vnet headers on the wire an offloaded frame leaves as the plain
 * frames it stands for. In its loop only.
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
    FRAME_UNSENDABLE, /* too large, or it can't be made into plain frames */
    FRAME_MISSING,    /* its bytes were never seen */
    FRAME_DROPPED,    /* it had to make room (FULL_DROP_OLDEST) */
} FrameFate;

typedef enum FrameAppend {
    FRAME_APPEND_OK,
    FRAME_APPEND_FULL,         /* no room: not taken */
    FRAME_APPEND_DISCONNECTED, /* no peer: not taken */
} FrameAppend;

typedef struct FrameWriterHandlers {
    /* The cursor passes @record, which stays valid during the call. */
    void (*done)(void *opaque, PacketRecord *record, FrameFate fate);
    /* So many frames of a batch were FRAME_SENT from where they were, without
     * ever becoming records. NULL: each frame becomes one. */
    void (*passed)(void *opaque, Counter frames);
    /* @record goes out as @n frames, more than one, for the first time; what is
     * told the peer now goes in front of them. NULL: nobody asks. */
    void (*cuts)(void *opaque, const PacketRecord *record, unsigned n);
    /* There is room again after FRAME_APPEND_FULL, a quarter of the limit or
     * 1 MiB. NULL: nobody waits. */
    void (*room)(void *opaque);
    /* For who talks to the peer besides; NULL: nobody does. A connection that
     * is there when the writer is made is not told. */
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
    bool queue_without_peer; /* else such frames are refused */
    bool retain;
    bool shipping; /* from the start */
} FrameWriterConfig;

typedef struct FrameWriter FrameWriter;

FrameWriter *frame_writer_new(const FrameWriterConfig *config,
                              const FrameWriterHandlers *handlers, void *opaque,
                              GError **errp);
/* One that shares @chardev with a reader: their owner is its frontend, reads,
 * and passes on what it is told by the three functions below. */
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

/* Appends whatever the limit says; for frames that never had bytes too. */
PacketRecord *frame_writer_append_always(FrameWriter *writer,
                                         const Packet *packet);
PacketRecord *frame_writer_append_missing(FrameWriter *writer);

/* True if what waits has reached the limit. */
bool frame_writer_is_full(const FrameWriter *writer);

/* Gives up what waits, each frame FRAME_DROPPED, but for one that is cut. */
void frame_writer_drop_waiting(FrameWriter *writer);

/* Sends what can be sent now; while the peer is known to take nothing, and the
 * chardev is waited for, that is nothing. */
void frame_writer_run(FrameWriter *writer);

/* A record of the queue that was not sent is never to be. */
void frame_writer_skip(PacketRecord *record);

/* Ships from the record @number (or the oldest there is) on. */
void frame_writer_start(FrameWriter *writer, uint64_t number);
/* Stops behind the frame that is on its way, which counts as sent. */
void frame_writer_stop(FrameWriter *writer);

bool frame_writer_is_shipping(const FrameWriter *writer);

/* Removes records before @number, but none that is still to be sent. */
void frame_writer_trim(FrameWriter *writer, uint64_t number);

/* The queue, with its history; owned by the writer. */
const PacketQueue *frame_writer_queue(const FrameWriter *writer);

/* Where in it the next frame to send is. */
PacketCursor frame_writer_next(const FrameWriter *writer);

/* Packets and bytes that have yet to go out, for the first time. */
Counter frame_writer_waiting(const FrameWriter *writer);

bool frame_writer_connected(const FrameWriter *writer);

/* Sends no frame while held. */
void frame_writer_hold(FrameWriter *writer, bool held);

/* Sends LINK_ASK, the first byte of whatever comes next, as the first of a
 * connection; false if the chardev is none that a peer could answer on. */
bool frame_writer_ask(FrameWriter *writer);

/* Sends @bytes, which are no frame, behind the frame that is on its way; after
 * LINK_ASK they go on from it. */
void frame_writer_tell(FrameWriter *writer, const uint8_t *bytes, size_t n);

/* Number of the next frame, of the oldest that could go out again, and behind
 * the last that can have reached a peer. */
uint64_t frame_writer_sent(const FrameWriter *writer);
uint64_t frame_writer_oldest(const FrameWriter *writer);
uint64_t frame_writer_reach(const FrameWriter *writer);

/* Goes on with frame @number, from oldest to reach. */
void frame_writer_seek(FrameWriter *writer, uint64_t number);

/* How many frames on the wire a record of the queue was; 0: not sent. */
unsigned frame_writer_parts(const PacketRecord *record);

#endif
