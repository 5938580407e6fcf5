/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loops in threads of their own, and how the main thread and they keep out of
 * each other's way.
 *
 * A thread holds its loop all the time but while it waits for something to
 * happen. The control plane holds all of them while it does anything, so that
 * nothing that a command or an event touches needs a lock of its own. Who
 * wants a loop gets it next (tickets): the control plane waits for no more
 * than one watch's function, and a thread for no more than one of the control
 * plane's. Nobody waits for the main loop, which works meanwhile.
 *
 * Main thread only, but for loop_call_main().
 */
#ifndef TF_BASE_LOOP_THREAD_H
#define TF_BASE_LOOP_THREAD_H

#include "base/loop.h"

#include <sys/types.h>

/* A loop in a thread called @name. It runs from loop_threads_start() on. Who
 * holds the threads holds it, too. */
Loop *loop_thread_new(const char *name);
/* Ends it; nothing is on it any more. */
void loop_thread_free(Loop *loop);
/* The thread's id, as in gettid(2); 0 while it does not run. */
pid_t loop_thread_id(const Loop *loop);

/* From now on threads run, those there are and those to come: they can do what
 * the process can from now on. */
void loop_threads_start(void);

/* Waits until no thread works, and keeps it so. To be nested. */
void loop_threads_hold(void);
void loop_threads_release(void);
/* In the middle of something long, where nothing is half done: lets those
 * threads work for a moment that want to. */
void loop_threads_yield(void);

/* Calls @func from the control loop: at once if the caller is the main thread,
 * else soon. In order. */
void loop_call_main(void (*func)(void *opaque), void *opaque);

#endif
