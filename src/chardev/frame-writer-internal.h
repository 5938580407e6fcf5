/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the writer share: frame-writer.c (frames in and out),
 * frame-writer-link.c (what is said besides, and which of them again).
 */
#ifndef TF_CHARDEV_FRAME_WRITER_INTERNAL_H
#define TF_CHARDEV_FRAME_WRITER_INTERNAL_H

#include "chardev/frame-writer.h"

/* PacketRecord.parts of one that was passed and not sent. */
#define PARTS_NONE UINT16_MAX
/* ... of one that is never to be: frame_writer_skip(). */
#define PARTS_SKIP (PARTS_NONE - 1)

/* One writev: many small frames. */
#define RUN_FRAMES 64

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

/* Takes the frame that is half sent out of the queue, so that what is behind it
 * can go first or be dropped. It counts as sent: the peer is owed the rest in
 * any case. */
void frame_writer_detach(FrameWriter *writer);

/* What was sent so far can't go out again as what it was. */
void frame_writer_forget_sent(FrameWriter *writer);

#endif
