/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A QMP client on somebody else's monitor: connects, negotiates, asks, hears
 * events, and connects again for as long as it lives. It changes nothing on
 * the other side. Main thread only.
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
    void (*ready)(void *opaque); /* negotiated: commands are taken */
    void (*lost)(void *opaque);  /* the connection ended */
    /* @data may be NULL; @time_us is the event's own time stamp. */
    void (*event)(void *opaque, const char *name, json_t *data,
                  int64_t time_us);
} QmpClientHandlers;

/* Takes the contents of @address. @name is for the log; borrowed. */
QmpClient *qmp_client_new(Address *address, const char *name,
                          const QmpClientHandlers *handlers, void *opaque);
/* Drops what is under way without calling anybody. */
void qmp_client_free(QmpClient *client);

/* Sends a command; takes @arguments (may be NULL). @func is called later,
 * never from within. */
void qmp_client_call(QmpClient *client, const char *command, json_t *arguments,
                     QmpReplyFunc *func, void *opaque);

/* Forgets the calls made with @opaque. */
void qmp_client_cancel(QmpClient *client, void *opaque);

/* Connected and negotiated? */
bool qmp_client_is_ready(const QmpClient *client);

/* The process at the other end of a unix socket, or 0. */
pid_t qmp_client_peer_pid(const QmpClient *client);

#endif
