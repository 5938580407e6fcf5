/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Character devices: byte streams to other processes and hosts, each used by
 * one frontend (a filter's endpoint, a monitor) at a time.
 *
 * Non-blocking throughout: the frontend asks for readiness and gets called.
 * What it wants stays in force from one peer to the next. A handler may
 * release, disconnect and delete its chardev. In its loop only.
 */
#ifndef TF_CHARDEV_CHARDEV_H
#define TF_CHARDEV_CHARDEV_H

#include "object/object.h"

#include <sys/types.h>
#include <sys/uio.h>

typedef struct Chardev Chardev;
typedef struct ChardevClass ChardevClass;

typedef struct ChardevHandlers {
    void (*opened)(void *opaque);   /* a peer is there */
    void (*closed)(void *opaque);   /* the peer is gone, all it sent is read */
    void (*readable)(void *opaque); /* chardev_read() may give something; NULL:
                                       what the peer sends is never read */
    void (*writable)(void *opaque); /* chardev_writev() may take something */
} ChardevHandlers;

struct ChardevClass {
    ObjectClass object;
    /* Is anything missing? In the words of who reads options. NULL: no. */
    bool (*check)(const Chardev *chardev, GError **errp);
    bool (*open)(Chardev *chardev, GError **errp);
    void (*close)(Chardev *chardev);
    /* As read(2) and writev(2), but -errno: -EAGAIN when it would block,
     * -ENOTCONN without a peer; 0 from read means the peer has gone. */
    ssize_t (*read)(Chardev *chardev, void *buffer, size_t size);
    ssize_t (*writev)(Chardev *chardev, const struct iovec *iov, int n);
    /* want_read, want_write, connected or the frontend changed. */
    void (*update)(Chardev *chardev);
    /* The current loop is another one: its watches and timers go there. */
    void (*move)(Chardev *chardev);
    /* Ends the connection with the present peer (it talks garbage); a server
     * listens on, a client reconnects. closed() is called before it returns.
     * NULL: can't be. */
    void (*disconnect)(Chardev *chardev);
    /* "filename" of query-chardev; owned. */
    char *(*filename)(const Chardev *chardev);
    /* Who reads what is written is who writes what is read. */
    bool duplex;
};

struct Chardev {
    Object object;
    const ChardevHandlers *handlers; /* NULL: no frontend */
    void *opaque;
    bool connected;
    bool want_read, want_write;
    bool claimed;   /* on its frontend's loop; else on the control loop, or its
                       maker's */
    bool renewable; /* nothing is lost with the connection: what a peer that is
                       gone has left unread may go when the next one comes, who
                       sends it again, and one that falls silent is given up
                       sooner */
};

extern const ObjectClass chardev_class; /* the abstract base */

/* The chardev @id, taken by a frontend, and to the current loop, from now on.
 * DeviceNotFound if there is none, GenericError if it is in use. Calls opened()
 * at once, before it returns, if a peer is there; what it wants can only be
 * said afterwards. */
Chardev *chardev_claim(const char *id, const ChardevHandlers *handlers,
                       void *opaque, GError **errp);
/* Likewise one that is nobody's yet and that its maker holds. */
void chardev_attach(Chardev *chardev, const ChardevHandlers *handlers,
                    void *opaque);
/* For who claims several, and failed: says which @end of it a DeviceNotFound
 * was about. False. */
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

/* For the backends. Calls the frontend, which may delete the chardev: the
 * last thing to do. */
void chardev_set_connected(Chardev *chardev, bool connected);

#endif
