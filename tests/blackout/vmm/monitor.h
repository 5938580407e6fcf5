/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The scripted VMM's monitor: as much QMP as it takes to follow a virtual
 * machine, the words as QEMU 7.2 has them. The descriptors stand in the
 * owner's epoll set.
 */
#ifndef BLACKOUT_VMM_MONITOR_H
#define BLACKOUT_VMM_MONITOR_H

#include <stdbool.h>
#include <stdint.h>

/* Listens at @path; returns the descriptor. Ends the program on failure.
 * @virtio: it tells where the used index lies; @events: the migration
 * capability of that name is on. */
int monitor_open(const char *path, int epoll, bool virtio, bool events);
/* Somebody connects; or has sent something. The latter for @fd. */
void monitor_accept(void);
void monitor_readable(int fd);

/* The run state that query-status tells. */
void monitor_set_status(const char *status);
/* Sends an event; @data is JSON or NULL. */
void monitor_emit(const char *event, const char *data);

#endif
