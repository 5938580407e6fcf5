/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TF_BASE_THREAD_H
#define TF_BASE_THREAD_H

#include <pthread.h>

/* Starts a thread in which no signal is handled: they are the main thread's.
 * Returns 0, or an errno. */
int thread_start(pthread_t *thread, void *(*func)(void *opaque), void *opaque);

#endif
