/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Non-blocking connect, host names included: a name is resolved in a thread of
 * its own. With a DNS server that does not answer getaddrinfo() takes 10 s and
 * more each time (resolv.conf(5)), for which a loop, and the packets of all VMs
 * on it, must not stop.
 *
 * In its loop only, except connector_wait_lookups().
 */
#ifndef TF_BASE_CONNECTOR_H
#define TF_BASE_CONNECTOR_H

#include "base/address.h"
#include "base/loop.h"

typedef struct Lookup Lookup;

/* Called once per attempt: @fd is the connected socket, which the callee owns,
 * or -1, and @why says why. The connector may be started or freed in it. */
typedef void ConnectorFunc(void *opaque, int fd, const char *why);

typedef struct Connector {
    const Address *address;
    ConnectorFunc *func;
    void *opaque;
    unsigned attempts;
    Lookup *lookup;
    int fd; /* connecting, or -1 */
    LoopWatch watch;
} Connector;

/* @address is borrowed, and not an ADDRESS_FD. */
void connector_init(Connector *self, const Address *address,
                    ConnectorFunc *func, void *opaque);
/* Starts an attempt. Of several addresses that a name resolves to, each attempt
 * starts with the next. If it fails at once, @func is called from here. */
void connector_start(Connector *self);
/* Aborts the attempt, if there is one; @func is not called. No effect on a
 * connector whose memory is zero. */
void connector_stop(Connector *self);
/* Moves it to the current loop. The caller holds both loops. */
void connector_move(Connector *self);

/* Waits until all threads that resolve names have ended: they keep the rights
 * that the process had when they started. Main thread only. */
void connector_wait_lookups(void);

#endif
