/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One client's QMP conversation, without I/O: bytes in, bytes out. Whoever
 * owns the connection feeds what arrives and sends what comes out.
 */
#ifndef TF_MONITOR_QMP_SESSION_H
#define TF_MONITOR_QMP_SESSION_H

#include <stdbool.h>
#include <stddef.h>

#include <glib.h>
#include <jansson.h>

/* Longer requests are refused. */
#define QMP_SESSION_MAX_REQUEST (4 << 20)

typedef struct QmpSession QmpSession;

/* A whole line has been appended to @out. */
typedef void QmpSessionAppended(void *opaque);

/* What the session says it appends to @out, which must outlive it: the greeting
 * before this returns. */
QmpSession *qmp_session_new(bool pretty, GString *out,
                            QmpSessionAppended *appended, void *opaque);
/* Not from within @appended. */
void qmp_session_free(QmpSession *session);

void qmp_session_feed(QmpSession *session, const char *data, size_t size);

/* Passes an event on, if the client has negotiated. @event is borrowed. */
void qmp_session_event(QmpSession *session, json_t *event);

/* Makes an event with the present time, owned; @data may be NULL. */
json_t *qmp_event_new(const char *name, json_t *data);

/* What query-version returns, owned. */
json_t *qmp_version(void);

#endif
