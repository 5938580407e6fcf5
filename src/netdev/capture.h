/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Capture: the frames that pass an interface, seen through an AF_PACKET
 * socket, which has a memory-mapped receive ring (packet(7), TPACKET_V2) while
 * there is much to capture (docs/design/0002-capture-ring.md). A frame larger
 * than its slot comes whole over the socket (PACKET_COPY_THRESH).
 *
 * A lone frame is handed out at once. In a flood the socket is looked at by a
 * timer instead of with each wakeup.
 *
 * Direction: for a TAP, PACKET_OUTGOING is what the host sends into it, that
 * is toward the guest. Frames that tapferry itself injects carry a mark and
 * are left out by a filter in the kernel. The VLAN tag that the kernel keeps
 * apart is put back into the frame. The batch is valid during the call.
 *
 * The queue of an interface with several: the network stack has chosen it
 * before a packet socket sees the frame, and tells it to a filter
 * (SKF_AD_QUEUE), and to nobody else. So who wants to know it has a capture for
 * each.
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
    /* @n frames of (the first of) its queues passed here, in order, that the
     * ring had no room for. NULL: no matter. */
    void (*lost)(void *opaque, unsigned queue, uint64_t n);
    /* Is what comes now dropped in any case? Then but few frames are read, and
     * the rest left to the kernel, which drops them at less cost. NULL: no. */
    bool (*drops)(void *opaque);
} CaptureHandlers;

enum {
    CAPTURE_TX = 1 << DIRECTION_TX,
    CAPTURE_RX = 1 << DIRECTION_RX,
};

/* Those whose frames are captured; each of these has the number @first. */
typedef struct CaptureQueues {
    uint16_t first, last;
} CaptureQueues;

#define CAPTURE_ALL_QUEUES ((CaptureQueues){0, UINT16_MAX})

/* @directions: CAPTURE_TX, CAPTURE_RX or both. */
Capture *capture_new(unsigned directions, CaptureQueues queues,
                     const CaptureHandlers *handlers, void *opaque);
void capture_free(Capture *capture);

/* Binds to an interface, anew after capture_detach(). */
bool capture_attach(Capture *capture, int ifindex, GError **errp);
void capture_detach(Capture *capture);

/* Leaves frames that @match (a program for an Ethernet frame; NULL: none) does
 * not take to the kernel, which then neither copies nor wakes us for them. A
 * frame whose VLAN tag the kernel keeps apart is handed out in any case: the
 * program would miss the tag. So who wants it exactly looks again. Copied;
 * holds for frames that come from now on. */
void capture_set_match(Capture *capture, const struct sock_fprog *match);

/* Hands out all that has been captured up to now. */
void capture_drain(Capture *capture);

/* While paused, frames stay in the kernel, and are lost when it has no more
 * room for them. */
void capture_pause(Capture *capture, bool paused);

#endif
