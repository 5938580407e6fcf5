/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Datagram sockets: UDP, UDP multicast (IPv4) and unix. Non-blocking and
 * close-on-exec. Errors are worded as those of QEMU's socket netdevs.
 */
#ifndef TF_BASE_DATAGRAM_H
#define TF_BASE_DATAGRAM_H

#include "base/address.h"

#include <sys/socket.h>

typedef struct DatagramName {
    struct sockaddr_storage storage;
    socklen_t len; /* 0: none, the socket is connected */
} DatagramName;

/* Resolves @address, which is inet or unix. May block (DNS). */
bool datagram_resolve(const Address *address, DatagramName *name,
                      GError **errp);

bool datagram_is_multicast(const DatagramName *name);

/* A socket bound to @address, or -1. address_listen_close() closes it. */
int datagram_bind(const Address *address, GError **errp);

/* A socket that has joined the multicast group @name, on the interface with the
 * address @local (NULL: the kernel chooses), through which it sends as well.
 * Multicast loopback is on, for other programs on this host. Or -1. */
int datagram_join(const DatagramName *name, const Address *local,
                  GError **errp);

/* Checks the inherited datagram socket @fd and takes ownership. */
bool datagram_take_fd(int fd, GError **errp);

#endif
