/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A QMP client on the VMM's monitor: connects, negotiates capabilities,
 * executes commands, receives events, and reconnects for as long as it exists.
 * It changes no settings of the VMM. Main thread only.
 */
#ifndef TF_VM_QMP_CLIENT_H
#define TF_VM_QMP_CLIENT_H

#include "base/address.h"
#include "base/loop.h"
#include "wire/json-framer.h"

#include <sys/types.h>

typedef struct QmpClient QmpClient;

/* @result is the "return" member, or NULL if the command failed or the
 * connection was lost first. Borrowed. */
typedef void QmpReplyFunc(void *opaque, json_t *result);

typedef struct QmpClientHandlers {
    void (*ready)(void *opaque); /* negotiated: commands may be sent */
    /* @data may be NULL; @time_us is the event's own time stamp. */
    void (*event)(void *opaque, const char *name, json_t *data,
                  int64_t time_us);
} QmpClientHandlers;

/* Takes over the contents of @address. @name is for the log; borrowed. */
QmpClient *qmp_client_new(Address *address, const char *name,
                          const QmpClientHandlers *handlers, void *opaque);
/* Pending calls are dropped without a callback. */
void qmp_client_free(QmpClient *client);

/* Sends a command; takes the reference to @arguments (may be NULL). @func is
 * called later, never before this returns. */
void qmp_client_call(QmpClient *client, const char *command, json_t *arguments,
                     QmpReplyFunc *func, void *opaque);

/* Drops the pending calls with @opaque. */
void qmp_client_cancel(QmpClient *client, void *opaque);

/* Connected and negotiated? */
bool qmp_client_is_ready(const QmpClient *client);

/* The process at the other end of a unix socket, or 0. */
pid_t qmp_client_peer_pid(const QmpClient *client);

#endif
