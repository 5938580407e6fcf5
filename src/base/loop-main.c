/* SPDX-License-Identifier: BSD-2-Clause */
/* The main thread's loops. The thread waits for the main loop, in which the
 * control loop's epoll set is one descriptor. */
#include "base/loop-internal.h"
#include "base/loop-thread.h"

#include <sys/prctl.h>

static Loop control, packets;
static LoopWatch control_watch;
static bool control_is_ready;
static bool begun, running;

static void control_ready(void *opaque, uint32_t events)
{
    control_is_ready = true;
}

static void main_init(Loop *loop)
{
    bool ok = loop_init(loop);

    g_assert(ok);
    loop->holder = loop->runner = loop_self();
}

static void main_begin(void)
{
    Loop *before;

    if (begun) {
        return;
    }
    begun = true;
    /* Without it a wait of 100 us takes 150; threads inherit it. */
    prctl(PR_SET_TIMERSLACK, 1);
    main_init(&control);
    main_init(&packets);
    before = loop_enter(&packets);
    loop_watch_add(&control_watch, control.epoll_fd, EPOLLIN, control_ready,
                   NULL);
    loop_leave(before);
}

Loop *loop_control(void)
{
    main_begin();
    return &control;
}

Loop *loop_main(void)
{
    main_begin();
    return &packets;
}

static void control_yield(Loop *loop)
{
    loop_threads_yield();
}

/* The only place where the control plane takes the threads' loops. */
static void control_visit(void)
{
    control_is_ready = false;
    loop_threads_hold();
    loop_visit(&control, loop_wait(&control, 0), control_yield);
    loop_threads_release();
}

void loop_iterate(bool may_block)
{
    uint64_t due;

    main_begin();
    due = MIN(loop_timers_due(&packets), loop_timers_due(&control));
    loop_visit(&packets, loop_wait(&packets, may_block ? due : 0), NULL);
    if (control_is_ready || loop_timers_due(&control) <= loop_now()) {
        control_visit();
    }
}

void loop_run(void)
{
    running = true;
    while (running) {
        loop_iterate(true);
    }
}

void loop_quit(void)
{
    running = false;
}
