/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One monitor client: its session, what it is still owed, and the transport
 * between the two (a socket or a chardev).
 *
 * Memory stays bounded: a client that does not take its replies is not read
 * from, and one that does not take its events either is cut off.
 * Connections own themselves: they go when their peer does. Main thread only.
 */
#ifndef TF_MONITOR_CONNECTION_H
#define TF_MONITOR_CONNECTION_H

#include <stdbool.h>

#include <glib.h>
#include <jansson.h>

typedef struct MonitorMode {
    bool control; /* QMP; else the human monitor */
    bool pretty;
} MonitorMode;

/* A connected socket, which is taken. */
void connection_open_socket(int fd, MonitorMode mode);

/* A chardev: a session as long as it has a peer, and then the next. With
 * stdio, the end of input ends no session. */
bool connection_open_chardev(const char *id, MonitorMode mode, GError **errp);

/* How many there are. */
unsigned connection_count(void);

/* Sends an event to all QMP clients; @event is borrowed. */
void connection_broadcast(json_t *event);

/* Sends what can be sent at once and closes all. */
void connection_close_all(void);

#endif
