/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections on their way to be the peer: those that need a handshake (TLS)
 * go through it step by step, as the other side answers, and within ten
 * seconds; those that need none are through at once.
 *
 * A server greets many at once, so that one that says nothing keeps nobody
 * out: the first to be through becomes the peer. When there are too many, the
 * oldest has to go. In its loop only.
 */
#ifndef TF_CHARDEV_SOCKET_GREETING_H
#define TF_CHARDEV_SOCKET_GREETING_H

#include "chardev/transport.h"

#include <glib.h>

typedef struct GreetingHandlers {
    /* @transport, now the owner's, is ready. All greetings may be ended and
     * the list freed. */
    void (*ready)(void *opaque, Transport *transport);
    /* It failed, for the reason @why; it is freed behind the call. */
    void (*failed)(void *opaque, Transport *transport, const char *why);
} GreetingHandlers;

typedef struct Greetings Greetings;

Greetings *greetings_new(const GreetingHandlers *handlers, void *opaque);

/* Ends them all; harmless with NULL. */
void greetings_free(Greetings *self);

/* Begins the handshake of @transport, which is taken over. Calls the owner at
 * once if there is nothing to wait for: the last thing to do. */
void greetings_add(Greetings *self, Transport *transport);

/* Closes all connections whose handshake is not over. */
void greetings_clear(Greetings *self);

/* To the current loop. */
void greetings_move(Greetings *self);

#endif
