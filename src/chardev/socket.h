/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between the two files of the socket chardev: socket.c has what it does,
 * socket-options.c what can be set.
 */
#ifndef TF_CHARDEV_SOCKET_H
#define TF_CHARDEV_SOCKET_H

#include "base/address.h"
#include "base/connector.h"
#include "base/log.h"
#include "base/loop.h"
#include "chardev/chardev.h"
#include "chardev/socket-greeting.h"
#include "chardev/tls-creds.h"

typedef struct ChardevSocket {
    Chardev chardev;
    /* properties */
    char *addr_type;
    char *host;
    char *port;
    char *path;
    char *fd_text;
    AddressIp ip;
    bool abstract, tight;
    bool server, server_given;
    bool wait, wait_given;
    bool nodelay;
    uint32_t reconnect, reconnect_ms;
    bool reconnect_given, reconnect_ms_given;
    char *tls_creds;
    /* state */
    bool opened;
    bool background; /* a netdev's: connects without waiting */
    Address address; /* of a server: where it really listens */
    int listen_fd;
    LoopWatch listen_watch; /* while there is no peer */
    TlsCreds *creds;        /* NULL: plain bytes */
    Greetings *greetings;   /* connections in their TLS handshake */
    Connector connector;    /* a client's attempt to connect */
    Transport *transport;   /* the peer, or NULL */
    LoopWatch watch;        /* of the transport */
    LoopTimer turn;         /* the transport has buffered bytes to read */
    LoopTimer timer;        /* to the next attempt to connect or to accept */
    bool eof;               /* a read has seen the peer's end */
    bool deaf;              /* the peer has closed its receiving half */
    bool impatient;         /* with this peer: see "renewable" */
    bool write_first;       /* readable() had its turn */
    bool failed;            /* the last attempt */
    char *failure;          /* already said */
    LogLimit failure_limit;
    LogLimit peer_limit; /* of what peers do wrong */
} ChardevSocket;

extern const Property chardev_socket_props[];

/* Is the address whole? */
bool chardev_socket_check(const Chardev *chardev, GError **errp);

/* Puts in the defaults that depend on others, checks the properties together,
 * fills the address and holds the credentials. */
bool chardev_socket_prepare(ChardevSocket *self, GError **errp);

#endif
