/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loops in threads of their own, and the locking between them and the main
 * thread.
 *
 * A thread holds its loop (a ticket lock) except while it waits in epoll. The
 * main thread holds all threads' loops while it dispatches the control loop,
 * so that nothing a command or an event touches needs a lock of its own. The
 * lock is fair: the control plane waits for at most one watch's callback, and
 * a thread for at most one of the control plane's. The main loop takes no lock:
 * it shares its thread with the control plane.
 *
 * Main thread only, except loop_call_main().
 */
#ifndef TF_BASE_LOOP_THREAD_H
#define TF_BASE_LOOP_THREAD_H

#include "base/loop.h"

#include <sys/types.h>

#include <glib.h>

/* Creates a loop whose thread, called @name, starts with loop_threads_start();
 * NULL and an error if there is no descriptor or thread for it. If the caller
 * holds the threads, it holds this one, too. */
Loop *loop_thread_new(const char *name, GError **errp);
/* Ends the thread and frees the loop, on which nothing may be left. */
void loop_thread_free(Loop *loop);
/* The thread's id, as in gettid(2); 0 while it does not run. */
pid_t loop_thread_id(const Loop *loop);

/* Starts the threads, also those created later. They have the rights that the
 * process has now. False and an error if one of them can't be started. */
bool loop_threads_start(GError **errp);

/* Takes the loops of all threads. Calls nest. */
void loop_threads_hold(void);
void loop_threads_release(void);
/* For long operations, between two steps: lets threads that wait for their
 * loops run for a moment. */
void loop_threads_yield(void);

/* Calls @func in the main thread, from the control loop: at once if the caller
 * is the main thread, else later, in the order of the calls. Any thread. */
void loop_call_main(void (*func)(void *opaque), void *opaque);

#endif
