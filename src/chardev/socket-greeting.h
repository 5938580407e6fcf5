/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections before they become the peer: those with TLS perform their
 * handshake, without blocking and within ten seconds; others are ready at once.
 *
 * A server has several handshakes at a time, so that a silent client does not
 * block others: the first to complete becomes the peer. Beyond a limit, the
 * oldest is closed. In its loop only.
 */
#ifndef TF_CHARDEV_SOCKET_GREETING_H
#define TF_CHARDEV_SOCKET_GREETING_H

#include "chardev/transport.h"

#include <glib.h>

typedef struct GreetingHandlers {
    /* @transport is ready, and now the owner's. The handler may close all
     * others and free the list. */
    void (*ready)(void *opaque, Transport *transport);
    /* The handshake failed, for the reason @why; freed after the call. */
    void (*failed)(void *opaque, Transport *transport, const char *why);
} GreetingHandlers;

typedef struct Greetings Greetings;

Greetings *greetings_new(const GreetingHandlers *handlers, void *opaque);

/* Ends them all; harmless with NULL. */
void greetings_free(Greetings *self);

/* Begins the handshake of @transport and takes ownership. May call ready(), and
 * so has to be the last thing that the caller does. */
void greetings_add(Greetings *self, Transport *transport);

/* Closes all connections whose handshake is not over. */
void greetings_clear(Greetings *self);

/* Moves them to the current loop. */
void greetings_move(Greetings *self);

#endif
