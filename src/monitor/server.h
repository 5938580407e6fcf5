/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The endpoints of monitors: standard input and output, unix and TCP sockets
 * (several clients at once), or a chardev. Main thread only.
 */
#ifndef TF_MONITOR_SERVER_H
#define TF_MONITOR_SERVER_H

#include "monitor/connection.h"

/* From now on events reach the QMP clients. */
void monitor_init(void);

/*
 * Opens a monitor on @device: "stdio", "chardev:ID", "none", or
 * "unix:PATH" or "tcp:HOST:PORT", perhaps followed by ",server=on,wait=off".
 * With wait=on (as in QEMU the default of a server) it runs the loop until
 * the first client is there or the loop is asked to end.
 */
bool monitor_open(const char *device, MonitorMode mode, GError **errp);

/* Is @device one that monitor_open() knows? */
bool monitor_check(const char *device, GError **errp);

/* Closes all monitors, after sending pending output as far as possible. */
void monitor_close_all(void);

#endif
