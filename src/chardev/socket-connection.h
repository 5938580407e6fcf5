/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A socket chardev without an id: the connection of a netdev, which owns it and
 * frees it with object_destroy(). It is in no container and connects in the
 * background; a server has one peer at a time. In its loop only.
 */
#ifndef TF_CHARDEV_SOCKET_CONNECTION_H
#define TF_CHARDEV_SOCKET_CONNECTION_H

#include "base/address.h"
#include "chardev/chardev.h"

typedef struct ChardevSocketConfig {
    const char *name;      /* for messages */
    Address *address;      /* its content is taken over */
    bool server;           /* listen */
    uint32_t reconnect_ms; /* of a client; 0: never */
} ChardevSocketConfig;

Chardev *chardev_socket_new(const ChardevSocketConfig *config, GError **errp);

/* The last attempt to connect failed. */
bool chardev_socket_failed(const Chardev *chardev);

/* Who is at the other end (a unix client has no name: then where we are
 * ourselves); to be cleared. Only while connected. */
bool chardev_socket_peer(const Chardev *chardev, Address *address);

#endif
