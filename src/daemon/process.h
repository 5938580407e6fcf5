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

/* All is set up: lets the parent go and lets the terminal go. Harmless if not
 * daemonized. */
void process_ready(void);

/* Says what went wrong, on stderr, through the parent if there is one. */
void process_fail(const char *message);

/* Writes the pid into @path and locks it; fails if another daemon has it. */
bool process_write_pidfile(const char *path, GError **errp);

/* Removes the pid file, if one was written; where its directory does not allow
 * that (-user), it is left empty. Safe in a signal handler. */
void process_remove_pidfile(void);

/* Says so if the pid file will stay. Call it with the rights of the end. */
void process_check_pidfile(void);

/* As many descriptors as the hard limit allows. */
void process_raise_limits(void);

#endif
