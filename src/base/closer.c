/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/closer.h"

#include "base/thread.h"

#include <pthread.h>
#include <stdbool.h>
#include <unistd.h>

#include <glib.h>

#define CLOSER_THREADS 32

static pthread_mutex_t closer_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t closer_idle = PTHREAD_COND_INITIALIZER;
static GArray *closer_fds; /* int, still to be closed; NULL: none */
static unsigned closer_threads;

/* The next descriptor to be closed; -1: none, and the thread is no longer
 * counted. */
static int closer_take(void)
{
    int fd = -1;

    pthread_mutex_lock(&closer_mutex);
    if (closer_fds) {
        fd = g_array_index(closer_fds, int, closer_fds->len - 1);
        g_array_set_size(closer_fds, closer_fds->len - 1);
        if (closer_fds->len == 0) {
            g_clear_pointer(&closer_fds, g_array_unref);
        }
    } else if (--closer_threads == 0) {
        pthread_cond_broadcast(&closer_idle);
    }
    pthread_mutex_unlock(&closer_mutex);
    return fd;
}

static void *closer_run(void *opaque)
{
    int fd;

    while ((fd = closer_take()) >= 0) {
        close(fd);
    }
    return NULL;
}

static bool closer_start(void)
{
    pthread_t thread;

    return thread_start(&thread, closer_run, NULL) == 0 &&
           pthread_detach(thread) == 0;
}

void closer_close(int fd)
{
    pthread_mutex_lock(&closer_mutex);
    if (closer_threads < CLOSER_THREADS && closer_start()) {
        closer_threads++;
    }
    if (closer_threads > 0) {
        if (!closer_fds) {
            closer_fds = g_array_new(FALSE, FALSE, sizeof(int));
        }
        g_array_append_val(closer_fds, fd);
        fd = -1;
    }
    pthread_mutex_unlock(&closer_mutex);
    if (fd >= 0) {
        close(fd); /* no thread can be started: closes it here */
    }
}

void closer_finish(void)
{
    pthread_mutex_lock(&closer_mutex);
    while (closer_threads > 0) {
        pthread_cond_wait(&closer_idle, &closer_mutex);
    }
    pthread_mutex_unlock(&closer_mutex);
}
