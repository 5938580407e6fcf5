/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the writer share: frame-writer.c (the queue), frame-writer-
 * send.c (what goes out of it), frame-writer-link.c (what is said besides, and
 * which frames again).
 */
#ifndef TF_CHARDEV_FRAME_WRITER_INTERNAL_H
#define TF_CHARDEV_FRAME_WRITER_INTERNAL_H

#include "chardev/frame-writer.h"

/* PacketRecord.parts of one that was passed and not sent. */
#define PARTS_NONE UINT16_MAX
/* ... of one that is never to be: frame_writer_skip(). */
#define PARTS_SKIP (PARTS_NONE - 1)

/* One writev: many small frames, and not more than a cache holds. */
#define RUN_FRAMES 64
#define RUN_BYTES (256 * 1024)

/* Who was told that the queue is full hears of room when there is so much. */
#define ROOM_BYTES (1024 * 1024)

/* Frames of the batch under way that are to go out from where they are. There
 * are some only while nothing waits in the queue. */
typedef struct FrameRun {
    unsigned n;
    uint64_t bytes; /* of the frames */
    Packet packets[RUN_FRAMES];
} FrameRun;

struct FrameWriter {
    FrameWriterConfig config;
    const FrameWriterHandlers *handlers;
    void *opaque;
    Chardev *chardev;
    bool shared; /* the chardev's frontend is somebody else */
    bool shipping;
    bool running; /* frame_writer_run() is under way */
    bool starved; /* somebody was told FRAME_APPEND_FULL */
    PacketQueue queue;
    PacketCursor next;      /* the next to send */
    uint64_t fresh;         /* the first record that was never passed */
    uint64_t waiting_bytes; /* of the frames from @fresh on */
    size_t partial;         /* bytes of @next's wire form already sent */
    GByteArray *spill;      /* wire form of a frame that goes out in segments */
    bool spilling;          /* @next is in @spill */
    unsigned spilled;       /* frames in @spill */
    GByteArray *rest;       /* of a frame that left the queue half sent, and
                               what is said besides frames */
    bool held;              /* by frame_writer_hold() */
    bool asked;             /* the first byte of what comes next is out */
    bool told;              /* the peer is one that hears more than frames */
    uint64_t sent, oldest;  /* numbers on the wire: of @next, of the head */
    unsigned cut;  /* frames of @next that were out when the peer left */
    unsigned skip; /* frames of @next that the peer has */
    uint8_t *scratch;
    FrameRun run;
};

/* Moves the cursor behind @record. */
void frame_writer_step(FrameWriter *writer, const PacketRecord *record);

/* Passes the record at the cursor. */
void frame_writer_pass(FrameWriter *writer, FrameFate fate);

/* Copies what is left of the run, from @i on, into the queue. */
void frame_writer_keep_run(FrameWriter *writer, unsigned i);

/* Sends whatever the peer takes. */
void frame_writer_send(FrameWriter *writer);

/* Bytes in front of a frame that goes out as it is. */
size_t frame_writer_prefix(const FrameWriter *writer);

/* Writes the wire header in front of @packet; returns its wire form. */
struct iovec frame_writer_put_prefix(const FrameWriter *writer,
                                     const Packet *packet);

/* Does the packet go out as it is? */
bool frame_writer_is_ready(const FrameWriter *writer, const Packet *packet);

/* Takes the frame that is half sent out of the queue, so that what is behind it
 * can go first or be dropped. It counts as sent: the peer is owed the rest in
 * any case. */
void frame_writer_detach(FrameWriter *writer);

/* What was sent so far can't go out again as what it was. */
void frame_writer_forget_sent(FrameWriter *writer);

#endif
