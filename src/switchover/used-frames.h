/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How many frames did the guest get in one of its receive queues? A state
 * machine without I/O.
 *
 * The used index counts receive buffers. A frame that fits one of them moves it
 * by one; a larger one (a super-frame, a jumbo frame) takes as many as it needs
 * (VIRTIO_NET_F_MRG_RXBUF; virtio 1.2, 5.1.6.4), and how large the guest's
 * buffers are changes all the time (Linux: get_mergeable_buf_len(), drivers/
 * net/virtio_net.c). But the used ring tells how much was written into each
 * (2.7.8): those of a frame add up to its header and its length, and the length
 * is known since it was captured.
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
/* What we inject ourselves enters the queue beside what is captured, and
 * nothing tells in which order: a frame that others have overtaken is looked
 * for until so many larger ones, or so many frames, have come behind it. */
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

/* Frees what @self holds; all zero is a valid one. */
void used_frames_clear(UsedFrames *self);

/* The used index is @used; what came before is not counted. In front of each
 * frame there are @header bytes in the guest's memory. */
void used_frames_restart(UsedFrames *self, uint16_t used, uint16_t header);

/* A frame of @len bytes was captured on its way into this queue. */
void used_frames_captured_large(UsedFrames *self, uint32_t len);

static inline void used_frames_captured(UsedFrames *self, uint32_t len)
{
    if (len > USED_FRAMES_ONE_BUFFER) {
        used_frames_captured_large(self, len);
    }
}

/* One was missed, and so nobody knows how long it was. */
static inline void used_frames_missed(UsedFrames *self)
{
    used_frames_captured_large(self, UINT32_MAX / 2); /* no frame is */
}

/* The used index is @used, and all that came before has been captured: how many
 * entries of the used ring are wanted, from @self->index on? 0: none. */
uint16_t used_frames_wanted(const UsedFrames *self, uint16_t used);

/* @lengths are those of the entries that were wanted; NULL: they can't be had,
 * as they were overwritten before they were read. False: it is not known how
 * many frames came since the last time, and the count begins anew. */
bool used_frames_sample(UsedFrames *self, uint16_t used,
                        const uint32_t *lengths);

/* So many frames were counted, from an unknown number on, modulo 65536. */
static inline uint16_t used_frames_count(const UsedFrames *self)
{
    return (uint16_t)(self->index - self->more);
}

#endif
