/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of loops share: loop.c (descriptors), loop-timer.c,
 * loop-main.c (the main thread's loops) and loop-thread.c.
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
    GPtrArray *timers;  /* LoopTimer *, those set: a heap, earliest first */
    const void *holder; /* loop_self() of the thread that may touch it */
    const void *runner; /* loop_self() of the thread that runs it */
    /* Of a thread's loop. Tickets: who holds it now, and who comes next. */
    pthread_mutex_t mutex;
    pthread_cond_t turn;
    unsigned serving, tickets;
    pthread_t thread;
    bool started;
    pid_t tid;
    LoopWatch wake; /* an eventfd, for whoever sets a timer while it waits */
    LoopTimer end;
    bool ended;
    char *name;
};

/* loop.c */

/* Sets up a loop that nobody holds; its memory is zero. False and errno: there
 * is no descriptor for it. loop_clear() in either case. */
bool loop_init(Loop *loop);
void loop_clear(Loop *loop);
/* An address that identifies the calling thread. */
const void *loop_self(void);
void loop_set_current(Loop *loop);
/* Waits for descriptors until @due (CLOCK_MONOTONIC, ns; 0: does not wait,
 * LOOP_NEVER: no timeout), in the thread that runs the loop; returns how many
 * entries of loop->ready it has filled. */
int loop_wait(Loop *loop, uint64_t due);
/* Dispatches the first @n entries of loop->ready, then the timers that are due.
 * @yield is called between two of them, and may yield to another thread. */
void loop_visit(Loop *loop, int n, void (*yield)(Loop *loop));

/* loop-timer.c */
#define LOOP_NEVER UINT64_MAX
/* CLOCK_MONOTONIC, ns. */
uint64_t loop_now(void);
/* When the earliest is due; LOOP_NEVER if none is set. */
uint64_t loop_timers_due(const Loop *loop);
void loop_timers_run(Loop *loop, void (*yield)(Loop *loop));

/* loop-thread.c: ends the wait of a loop that another thread runs. */
void loop_wake(Loop *loop);

#endif
