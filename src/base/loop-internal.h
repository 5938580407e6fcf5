/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of loops share: loop.c (descriptors), loop-timer.c,
 * loop-main.c (the main thread's loops, in GLib's) and loop-thread.c.
 */
#ifndef TF_BASE_LOOP_INTERNAL_H
#define TF_BASE_LOOP_INTERNAL_H

#include "base/loop.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/types.h>

#include <glib.h>

/* Ready descriptors that one round visits. */
#define LOOP_BATCH 64

struct Loop {
    int epoll_fd;
    int pending;       /* entries of @ready that dispatch has yet to visit */
    unsigned removals; /* watches ever removed */
    struct epoll_event ready[LOOP_BATCH];
    LoopWatch clock;     /* the timerfd */
    GPtrArray *timers;   /* LoopTimer *, those set: a heap, earliest first */
    uint64_t clock_next; /* what the timerfd is set to, 0: to nothing */
    const void *holder;  /* loop_self() of the thread that may touch it */
    /* Of a thread's loop. Tickets: who holds it now, and who comes next. */
    pthread_mutex_t mutex;
    pthread_cond_t turn;
    unsigned serving, tickets;
    pthread_t thread;
    bool started;
    pid_t tid;
    LoopTimer end;
    bool ended;
    char *name;
};

/* loop.c */

/* Sets up a loop that nobody holds; its memory is zero. */
void loop_init(Loop *loop);
void loop_clear(Loop *loop);
/* Stands for the calling thread. */
const void *loop_self(void);
void loop_set_current(Loop *loop);
/* Visits the first @n of loop->ready. @rest is called between two of them, and
 * may let another thread in. */
void loop_visit(Loop *loop, int n, void (*rest)(Loop *loop));

/* loop-timer.c */
void loop_clock_open(Loop *loop);
void loop_clock_close(Loop *loop);

#endif
