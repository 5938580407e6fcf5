/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the loop share: loop.c (descriptors) and loop-timer.c.
 */
#ifndef TF_BASE_LOOP_INTERNAL_H
#define TF_BASE_LOOP_INTERNAL_H

#include "base/loop.h"

#include <sys/epoll.h>

#include <glib.h>

/* Ready descriptors that one round visits. */
#define LOOP_BATCH 64

typedef struct Loop {
    int epoll_fd;
    int pending; /* entries of @ready that dispatch has yet to visit */
    struct epoll_event ready[LOOP_BATCH];
    LoopWatch clock;     /* the timerfd, made with the first timer */
    GPtrArray *timers;   /* LoopTimer *, those set: a heap, earliest first */
    uint64_t clock_next; /* what the timerfd is set to, 0: to nothing */
} Loop;

/* The loop; made at first use. */
Loop *loop_get(void);

#endif
