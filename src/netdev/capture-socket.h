/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A packet socket that sees the frames of an interface: plain, or with a
 * memory-mapped receive ring (packet(7), TPACKET_V2).
 *
 * A plain socket takes memory only for frames that wait, and is opened at once;
 * a ring takes 8 MiB and an RCU grace period to set up, and half of the time
 * per frame. Sockets on one interface can form a fanout group, in which each
 * frame goes to exactly one of them: so a capture can change from one to the
 * other without losing or doubling a frame (capture-switch.h).
 *
 * A socket is used by one thread at a time.
 */
#ifndef TF_NETDEV_CAPTURE_SOCKET_H
#define TF_NETDEV_CAPTURE_SOCKET_H

#include "netdev/capture-filter.h"
#include "packet/packet.h"

#include <glib.h>

typedef struct CaptureSocket {
    int fd;
    uint8_t *ring;       /* NULL: plain */
    unsigned slot;       /* of the ring: the next to be read */
    unsigned first;      /* the first that was read and not released */
    uint32_t overflowed; /* plain: SO_RXQ_OVFL of the last frame */
} CaptureSocket;

#define CAPTURE_SOCKET_INIT ((CaptureSocket){.fd = -1})

/* A buffer for frames that are not in a ring's slot. */
typedef struct CaptureBuffer {
    uint8_t *bytes; /* owned; NULL until first used */
    size_t used;
} CaptureBuffer;

typedef enum CaptureTake {
    CAPTURE_TAKE_NONE,  /* there is no frame */
    CAPTURE_TAKE_FRAME, /* here is one */
    CAPTURE_TAKE_CUT,   /* here is one, but its bytes are lost */
    CAPTURE_TAKE_LATER, /* the buffer is full: empty it first */
} CaptureTake;

/* A plain socket that is not bound yet. */
bool capture_socket_open(CaptureSocket *socket, GError **errp);

/* Gives it a ring. Blocks for an RCU grace period, some 10 ms. Returns 0 or an
 * errno. */
int capture_socket_make_ring(CaptureSocket *socket);

/* Binds it to the interface and joins fanout group @group (0: a new one);
 * captures what @filter takes from now on. Returns 0 or an errno. */
int capture_socket_bind(const CaptureSocket *socket, int ifindex, int group,
                        const CaptureFilter *filter);

/* Its fanout group, for capture_socket_bind(); 0: none. */
int capture_socket_group(const CaptureSocket *socket);

/* Chooses which socket of the group gets the frames from now on: the first, or
 * the last that joined. From the second call on it blocks until the others get
 * no more. Returns 0 or an errno. */
int capture_socket_choose(const CaptureSocket *socket, bool last);

/* Harmless if not open. */
void capture_socket_close(CaptureSocket *socket);

/* Takes the next frame. Its bytes are valid until capture_socket_release() and
 * capture_buffer_empty(). Sets *@losing if frames before it were lost. */
CaptureTake capture_socket_take(CaptureSocket *socket, CaptureBuffer *buffer,
                                Packet *packet, Direction *direction,
                                bool *losing);

/* Returns the slots of the frames that were taken to the kernel, except those
 * of the last @keep frames. */
void capture_socket_release(CaptureSocket *socket, unsigned keep);

/* How many frames were lost since the last call. */
uint64_t capture_socket_lost(const CaptureSocket *socket);

static inline void capture_buffer_empty(CaptureBuffer *buffer)
{
    buffer->used = 0;
}

#endif
