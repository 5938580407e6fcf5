/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The daemon's own run state, as stop, cont, -S and query-status know it;
 * the VM object behind it is vm_daemon(). Main thread only.
 */
#ifndef TF_MONITOR_RUN_STATE_H
#define TF_MONITOR_RUN_STATE_H

#include <stdbool.h>

/* Once, at the start; @stopped: -S was given. */
void run_state_init(bool stopped);

/* Sets the run state; emits STOP or RESUME if it changes. */
void run_state_set(bool running);

/* Ends the main loop; @reason is that of the event SHUTDOWN. */
void run_state_shutdown(const char *reason);

/* Why run_state_shutdown() was called, NULL if it was not. */
const char *run_state_shutdown_reason(void);

/* The word of query-status: "running", "paused", "prelaunch". */
const char *run_state_name(void);

#endif
