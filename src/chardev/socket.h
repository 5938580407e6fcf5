/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between the two files of the socket chardev: socket.c has what it does,
 * socket-options.c what can be set.
 */
#ifndef TF_CHARDEV_SOCKET_H
#define TF_CHARDEV_SOCKET_H

#include "base/address.h"
#include "base/log.h"
#include "base/loop.h"
#include "chardev/chardev.h"

typedef struct ChardevSocket {
    Chardev chardev;
    /* properties */
    char *addr_type;
    char *host;
    char *port;
    char *path;
    char *fd_text;
    bool abstract, tight;
    bool server, server_given;
    bool wait, wait_given;
    bool nodelay;
    uint32_t reconnect, reconnect_ms;
    bool reconnect_given, reconnect_ms_given;
    /* state */
    bool opened;
    bool background; /* a netdev's: connects without waiting */
    Address address; /* of a server: where it really listens */
    int listen_fd;
    LoopWatch listen_watch; /* while there is no peer */
    int fd;                 /* the peer, or the attempt to reach it */
    LoopWatch watch;
    bool eof;         /* a read has seen the peer's end */
    bool write_first; /* readable() had its turn */
    unsigned attempts;
    guint timer;   /* to the next attempt to connect or to accept */
    bool failed;   /* the last attempt */
    char *failure; /* already said */
    LogLimit failure_limit;
} ChardevSocket;

extern const Property chardev_socket_props[];

/* Is the address whole? */
bool chardev_socket_check(const Chardev *chardev, GError **errp);

/* Puts in the defaults that depend on others, checks the properties together
 * and fills the address. */
bool chardev_socket_prepare(ChardevSocket *self, GError **errp);

#endif
