/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Character devices: byte streams to other processes and hosts, each used by
 * one frontend (a filter's endpoint, a monitor) at a time.
 *
 * Everything is non-blocking: the frontend asks for readiness and is called
 * back. chardev_want_read() and chardev_want_write() stay in force from one
 * connection to the next. A handler may release, disconnect and delete its
 * chardev. In its loop only.
 */
#ifndef TF_CHARDEV_CHARDEV_H
#define TF_CHARDEV_CHARDEV_H

#include "object/object.h"

#include <sys/types.h>
#include <sys/uio.h>

typedef struct Chardev Chardev;
typedef struct ChardevClass ChardevClass;

typedef struct ChardevHandlers {
    void (*opened)(void *opaque);   /* a peer is connected */
    void (*closed)(void *opaque);   /* it is gone, and all it sent was read */
    void (*readable)(void *opaque); /* chardev_read() may return bytes; NULL:
                                       what the peer sends is never read */
    void (*writable)(void *opaque); /* chardev_writev() may accept bytes */
} ChardevHandlers;

struct ChardevClass {
    ObjectClass object;
    /* Checks that the required options are there, with the errors of QEMU's
     * option parser. NULL: none are required. */
    bool (*check)(const Chardev *chardev, GError **errp);
    bool (*open)(Chardev *chardev, GError **errp);
    void (*close)(Chardev *chardev);
    /* As read(2) and writev(2), but -errno: -EAGAIN when it would block,
     * -ENOTCONN without a peer; 0 from read means the peer has gone. */
    ssize_t (*read)(Chardev *chardev, void *buffer, size_t size);
    ssize_t (*writev)(Chardev *chardev, const struct iovec *iov, int n);
    /* want_read, want_write, connected or the frontend changed. */
    void (*update)(Chardev *chardev);
    /* Moves its watches and timers to the current loop. */
    void (*move)(Chardev *chardev);
    /* Ends the present connection (the peer violates the protocol); a server
     * goes on listening, a client reconnects. closed() is called before it
     * returns. NULL: not supported. */
    void (*disconnect)(Chardev *chardev);
    /* "filename" of query-chardev; owned. */
    char *(*filename)(const Chardev *chardev);
    /* Bytes read come from the same peer that bytes written go to. */
    bool duplex;
};

struct Chardev {
    Object object;
    const ChardevHandlers *handlers; /* NULL: no frontend */
    void *opaque;
    bool connected;
    bool want_read, want_write;
    bool claimed;   /* it is on its frontend's loop; else on the control loop,
                       or its creator's */
    bool renewable; /* the peer sends again what was not acknowledged: unread
                       bytes of a connection that has ended may be discarded
                       when the next one comes, and a silent peer times out
                       sooner */
};

extern const ObjectClass chardev_class; /* the abstract base */

/* Makes the caller the frontend of chardev @id, and moves that to the current
 * loop. NULL and DeviceNotFound if there is none, GenericError if it is in use.
 * Calls opened() before it returns if a peer is connected; chardev_want_read()
 * and chardev_want_write() can only be called after it has returned. */
Chardev *chardev_claim(const char *id, const ChardevHandlers *handlers,
                       void *opaque, GError **errp);
/* Likewise for a chardev that the caller has created itself, without an id. */
void chardev_attach(Chardev *chardev, const ChardevHandlers *handlers,
                    void *opaque);
/* For a frontend that claims several chardevs: completes a DeviceNotFound in
 * *@errp with the name of the property, @end. Returns false. */
bool chardev_not_found(const char *end, GError **errp);
/* Harmless with NULL. */
void chardev_release(Chardev *chardev);

ssize_t chardev_read(Chardev *chardev, void *buffer, size_t size);
ssize_t chardev_writev(Chardev *chardev, const struct iovec *iov, int n);
void chardev_want_read(Chardev *chardev, bool want);
void chardev_want_write(Chardev *chardev, bool want);
void chardev_set_renewable(Chardev *chardev, bool renewable);
void chardev_disconnect(Chardev *chardev);
bool chardev_is_duplex(const Chardev *chardev);
char *chardev_filename(const Chardev *chardev);

/* For the backends. Calls the frontend, which may delete the chardev: so it is
 * the last thing a backend does. */
void chardev_set_connected(Chardev *chardev, bool connected);

#endif
