/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Captures the frames that pass an interface, through an AF_PACKET socket; at
 * high rates with a memory-mapped receive ring (packet(7), TPACKET_V2;
 * docs/design/0002-capture-ring.md). A frame larger than a slot of the ring is
 * received through the socket (PACKET_COPY_THRESH).
 *
 * At low rates frames are passed on as soon as they arrive; at high rates the
 * socket is polled by a timer instead of waking up for each.
 *
 * Direction: for a TAP, PACKET_OUTGOING is what the host sends into it, that
 * is toward the guest. Frames that tapferry itself injects carry a mark
 * (SO_MARK) and are excluded by a filter in the kernel. The VLAN tag that the
 * kernel strips is put back into the frame. The batch is valid during the call.
 *
 * Multi-queue: the network stack chooses a frame's queue before a packet socket
 * sees it, but tells it only to a socket filter (SKF_AD_QUEUE). So an owner
 * that needs to know the queue has one capture per queue.
 *
 * In its loop only.
 */
#ifndef TF_NETDEV_CAPTURE_H
#define TF_NETDEV_CAPTURE_H

#include "packet/packet.h"

#include <glib.h>

#include <linux/filter.h>

/* SO_MARK of what we inject: "tapf". */
#define CAPTURE_OWN_MARK 0x74617066u

typedef struct Capture Capture;

typedef struct CaptureHandlers {
    /* All of @batch travels in @direction. */
    void (*packets)(void *opaque, Direction direction,
                    const PacketBatch *batch);
    /* In sequence with packets(): @n frames were lost for lack of room in the
     * ring or socket buffer. @queue: the first of the capture's queues. NULL:
     * not wanted. */
    void (*lost)(void *opaque, unsigned queue, uint64_t n);
    /* Would frames be dropped now in any case? Then only few are read, and the
     * kernel drops the rest at less cost. NULL: no. */
    bool (*drops)(void *opaque);
} CaptureHandlers;

enum {
    CAPTURE_TX = 1 << DIRECTION_TX,
    CAPTURE_RX = 1 << DIRECTION_RX,
};

/* A range of queues. Packet.queue of all its frames is @first. */
typedef struct CaptureQueues {
    uint16_t first, last;
} CaptureQueues;

#define CAPTURE_ALL_QUEUES ((CaptureQueues){0, UINT16_MAX})

/* @directions: CAPTURE_TX, CAPTURE_RX or both. */
Capture *capture_new(unsigned directions, CaptureQueues queues,
                     const CaptureHandlers *handlers, void *opaque);
void capture_free(Capture *capture);

/* Binds to an interface; again after capture_detach(). */
bool capture_attach(Capture *capture, int ifindex, GError **errp);
void capture_detach(Capture *capture);

/* Sets a BPF program (for an Ethernet frame; NULL: none) that preselects frames
 * in the kernel, which then neither copies the others nor wakes us for them.
 * Frames with a VLAN tag pass in any case, as the program would not see the
 * tag: so the owner has to match once more. The program is copied, and applies
 * to frames that arrive from now on. */
void capture_set_match(Capture *capture, const struct sock_fprog *match);

/* Passes on all that has been captured up to now. */
void capture_drain(Capture *capture);

/* While paused, frames stay in the kernel's buffers, and are lost when these
 * are full. */
void capture_pause(Capture *capture, bool paused);

#endif
