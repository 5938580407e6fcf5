/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the writer share: frame-writer.c (the queue), frame-writer-
 * send.c (what goes out of it), frame-writer-link.c (what is said besides, and
 * which frames again).
 */
#ifndef TF_CHARDEV_FRAME_WRITER_INTERNAL_H
#define TF_CHARDEV_FRAME_WRITER_INTERNAL_H

#include "chardev/frame-writer.h"

/* PacketRecord.parts: frames on the wire; or of a record that the cursor passed
 * without sending it, */
#define PARTS_NONE UINT16_MAX
/* or of one that frame_writer_skip() was called for. */
#define PARTS_SKIP (PARTS_NONE - 1)

/* Limits of one writev(): many small frames, but no more than fit a cache. */
#define RUN_FRAMES 64
#define RUN_BYTES (256 * 1024)

/* Free bytes before room() is called after FRAME_APPEND_FULL. */
#define ROOM_BYTES (1024 * 1024)

/* Frames of the present batch that are to be sent without a copy; empty while
 * anything waits in the queue. */
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
    bool starved; /* FRAME_APPEND_FULL was returned */
    PacketQueue queue;
    PacketCursor next;      /* the next to send */
    uint64_t fresh;         /* the first record that was never passed */
    uint64_t waiting_bytes; /* of the frames from @fresh on */
    size_t partial;         /* bytes of @next's wire form already sent */
    GByteArray *spill;      /* wire form of a frame that goes out in segments */
    bool spilling;          /* @next is in @spill */
    unsigned spilled;       /* frames in @spill */
    GByteArray *rest;       /* to be sent first: of a frame that left the queue
                               sent in part, and records */
    bool held;              /* by frame_writer_hold() */
    bool asked;             /* LINK_ASK was sent, and nothing since */
    bool told;              /* the peer supports records */
    uint64_t sent, oldest;  /* numbers on the wire: of @next, of the head */
    unsigned cut;  /* segments of @next sent when the connection was lost */
    unsigned skip; /* segments of @next that the peer has */
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

/* Moves the rest of a frame that was sent in part from the queue to @rest, so
 * that the frames behind it can be dropped or records sent first. It counts as
 * sent. */
void frame_writer_detach(FrameWriter *writer);

/* Frames sent so far can't be sent again under the same numbers. */
void frame_writer_forget_sent(FrameWriter *writer);

#endif
