/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The daemon as a process: going into the background, the pid file, limits.
 */
#ifndef TF_DAEMON_PROCESS_H
#define TF_DAEMON_PROCESS_H

#include <stdbool.h>

#include <glib.h>

/*
 * Forks. Returns in the child only: the parent waits until the child calls
 * process_ready() and exits 0, or until process_fail() and exits 1. Call it
 * before anything is opened.
 */
bool process_daemonize(GError **errp);

/* Startup is complete: the parent exits 0, and standard streams are detached
 * from the terminal. Harmless if not daemonized. */
void process_ready(void);

/* Prints @message on stderr, through the parent if there is one. */
void process_fail(const char *message);

/* Writes the pid into @path and locks it; fails if another daemon has it. */
bool process_write_pidfile(const char *path, GError **errp);

/* Removes the pid file, if one was written; where its directory does not allow
 * that (-user), it is left empty. Safe in a signal handler. */
void process_remove_pidfile(void);

/* Logs a warning if the pid file can't be removed with the present privileges.
 */
void process_check_pidfile(void);

/* Raises the limit of open descriptors to the hard limit. */
void process_raise_limits(void);

#endif
