/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A packet socket that sees the frames of an interface: plain, or with a
 * memory-mapped receive ring (packet(7), TPACKET_V2).
 *
 * A plain one costs no memory but for frames that wait, and is there at once;
 * a ring costs 8 MiB and a grace period of the kernel to make, and half of the
 * time for each frame. Either hands a frame over at once. Sockets of one
 * interface can form a group, in which each frame goes to one of them: that
 * makes it possible to change from one to the other (capture-switch.h).
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
    unsigned first;      /* the first that was read and not given back */
    uint32_t overflowed; /* plain: how often, as the last frame told */
} CaptureSocket;

#define CAPTURE_SOCKET_INIT ((CaptureSocket){.fd = -1})

/* Where frames are put that do not lie in a ring's slot. */
typedef struct CaptureBuffer {
    uint8_t *bytes; /* owned; NULL until there was one */
    size_t used;
} CaptureBuffer;

typedef enum CaptureTake {
    CAPTURE_TAKE_NONE,  /* there is no frame */
    CAPTURE_TAKE_FRAME, /* here is one */
    CAPTURE_TAKE_CUT,   /* there was one, but its bytes are lost */
    CAPTURE_TAKE_LATER, /* the buffer is full: empty it first */
} CaptureTake;

/* A plain socket that is not bound yet. */
bool capture_socket_open(CaptureSocket *socket, GError **errp);

/* Gives it a ring. Waits for a grace period, some 10 ms. Errno. */
int capture_socket_make_ring(CaptureSocket *socket);

/* Binds it into the group @group (0: one of its own), where it sees what
 * @filter takes from now on. Errno. */
int capture_socket_bind(const CaptureSocket *socket, int ifindex, int group,
                        const CaptureFilter *filter);

/* The group that it is in, for capture_socket_bind(); 0: it is in none. */
int capture_socket_group(const CaptureSocket *socket);

/* The socket of its group that sees the frames from now on: the first, or the
 * last. From the second call on it waits until the others will get no more.
 * Errno. */
int capture_socket_choose(const CaptureSocket *socket, bool last);

/* Harmless if not open. */
void capture_socket_close(CaptureSocket *socket);

/* Takes the next frame, whose bytes stay until capture_socket_release() and
 * the buffer is emptied. Sets @losing if frames before it were lost. */
CaptureTake capture_socket_take(CaptureSocket *socket, CaptureBuffer *buffer,
                                Packet *packet, Direction *direction,
                                bool *losing);

/* Gives the room of the frames that were taken back to the kernel, but for
 * that of the last @keep. */
void capture_socket_release(CaptureSocket *socket, unsigned keep);

/* How many frames were lost since the last call. */
uint64_t capture_socket_lost(const CaptureSocket *socket);

static inline void capture_buffer_empty(CaptureBuffer *buffer)
{
    buffer->used = 0;
}

#endif
