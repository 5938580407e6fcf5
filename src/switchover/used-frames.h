/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Counts the frames that the guest received in one of its receive queues; a
 * state machine without I/O.
 *
 * The used index counts receive buffers. A frame that fits one buffer moves it
 * by one; a larger one (a super-frame, a jumbo frame) by as many as it takes
 * (VIRTIO_NET_F_MRG_RXBUF; virtio 1.2, 5.1.6.4), and the size of the guest's
 * buffers varies (Linux: get_mergeable_buf_len(), drivers/net/virtio_net.c).
 * But the used ring has the bytes written into each buffer (2.7.8): those of
 * one frame add up to header plus frame, whose length is known from its
 * capture.
 */
#ifndef TF_SWITCHOVER_USED_FRAMES_H
#define TF_SWITCHOVER_USED_FRAMES_H

#include <stdbool.h>
#include <stdint.h>

/* Frames up to this length fit one receive buffer of any driver (Ethernet
 * header, VLAN tag, 1500 bytes). */
#define USED_FRAMES_ONE_BUFFER 1518u
/* Larger frames that may be on their way to the guest; a power of two. */
#define USED_FRAMES_LARGE_MAX 4096u
/* Frames that we inject enter the queue among those captured, in an unknown
 * order: a large frame that others have overtaken is looked for until so many
 * large frames, or so many frames, have been counted behind it. */
#define USED_FRAMES_OVERTAKEN_MAX 64u
#define USED_FRAMES_OVERTAKEN_BY 1024u

typedef struct UsedFrames {
    uint16_t index;   /* the used index up to which frames are counted, */
    uint16_t more;    /* and how many buffers more than frames that was */
    uint16_t header;  /* bytes in front of each frame in its buffers */
    unsigned unknown; /* samples in a row whose next frame is none of ours */
    uint64_t first, next;  /* serials of the larger frames below: */
    uint64_t expected;     /* those from this one on are on their way; the
                              others were overtaken, or never come */
    uint16_t overtaken_at; /* frames counted when one was, last */
    uint32_t *large;       /* their lengths; NULL: none has come yet */
} UsedFrames;

/* Frees what @self holds; a zeroed one is valid. */
void used_frames_clear(UsedFrames *self);

/* Starts counting at used index @used. @header: bytes of the virtio-net header
 * in front of each frame in the guest's buffers. */
void used_frames_restart(UsedFrames *self, uint16_t used, uint16_t header);

/* A frame of @len bytes was captured on its way into this queue. */
void used_frames_captured_large(UsedFrames *self, uint32_t len);

static inline void used_frames_captured(UsedFrames *self, uint32_t len)
{
    if (len > USED_FRAMES_ONE_BUFFER) {
        used_frames_captured_large(self, len);
    }
}

/* A frame of unknown length was on its way into this queue. */
static inline void used_frames_missed(UsedFrames *self)
{
    used_frames_captured_large(self, UINT32_MAX / 2); /* no frame is */
}

/* The used index is @used, and all frames up to it have been captured. Returns
 * how many entries of the used ring used_frames_sample() needs, from
 * @self->index on; 0: none. */
uint16_t used_frames_wanted(const UsedFrames *self, uint16_t used);

/* Counts up to @used. @lengths: of the entries wanted; NULL if they were
 * overwritten before they could be read. False: the number of frames since the
 * last sample is not known, and counting starts anew. */
bool used_frames_sample(UsedFrames *self, uint16_t used,
                        const uint32_t *lengths);

/* The number of frames, modulo 65536, plus an unknown constant. */
static inline uint16_t used_frames_count(const UsedFrames *self)
{
    return (uint16_t)(self->index - self->more);
}

#endif
