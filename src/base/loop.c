/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/loop.h"

#include "base/loop-internal.h"

#include <errno.h>
#include <unistd.h>

static _Thread_local Loop *current_loop; /* NULL: the control loop */

const void *loop_self(void)
{
    static _Thread_local char self;

    return &self;
}

Loop *loop_current(void)
{
    return current_loop ? current_loop : loop_control();
}

void loop_set_current(Loop *loop)
{
    current_loop = loop;
}

Loop *loop_enter(Loop *loop)
{
    Loop *before = current_loop;

    g_assert(loop->holder == loop_self());
    current_loop = loop;
    return before;
}

void loop_leave(Loop *before)
{
    current_loop = before;
}

bool loop_init(Loop *loop)
{
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->timers = g_ptr_array_new();
    return loop->epoll_fd >= 0;
}

void loop_clear(Loop *loop)
{
    g_ptr_array_unref(loop->timers);
    if (loop->epoll_fd >= 0) {
        close(loop->epoll_fd);
    }
}

int loop_wait(Loop *loop, uint64_t due)
{
    uint64_t now = due > 0 && due < LOOP_NEVER ? loop_now() : 0;
    uint64_t ns = due > now ? due - now : 0;
    struct timespec timeout = {.tv_sec = (time_t)(ns / 1000000000),
                               .tv_nsec = (long)(ns % 1000000000)};

    return epoll_pwait2(loop->epoll_fd, loop->ready, LOOP_BATCH,
                        due < LOOP_NEVER ? &timeout : NULL, NULL);
}

void loop_visit(Loop *loop, int n, void (*yield)(Loop *loop))
{
    Loop *before = current_loop;

    current_loop = loop;
    loop->pending = MAX(n, 0);
    for (int i = 0; i < loop->pending; i++) {
        LoopWatch *watch = loop->ready[i].data.ptr;

        if (watch) {
            watch->func(watch->opaque, loop->ready[i].events);
            if (yield) {
                yield(loop);
            }
        }
    }
    loop->pending = 0;
    loop_timers_run(loop, yield);
    current_loop = before;
}

static void watch_insert(LoopWatch *watch)
{
    struct epoll_event event = {.events = watch->events, .data.ptr = watch};

    watch->loop = loop_current();
    g_assert(watch->loop->holder == loop_self());
    if (epoll_ctl(watch->loop->epoll_fd, EPOLL_CTL_ADD, watch->fd, &event) <
        0) {
        /* A regular file (stdio redirected) can't be watched: never ready. */
        g_assert(errno == EPERM);
    }
}

void loop_watch_add(LoopWatch *watch, int fd, uint32_t events, LoopFunc *func,
                    void *opaque)
{
    g_assert(fd >= 0);
    *watch =
        (LoopWatch){.fd = fd, .events = events, .func = func, .opaque = opaque};
    watch_insert(watch);
}

void loop_watch_modify(LoopWatch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};

    g_assert(watch->loop->holder == loop_self());
    if (watch->events != events) {
        watch->events = events;
        epoll_ctl(watch->loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event);
    }
}

static void watch_take_out(LoopWatch *watch)
{
    Loop *loop = watch->loop;

    g_assert(loop->holder == loop_self());
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    loop->removals++;
    for (int i = 0; i < loop->pending; i++) {
        if (loop->ready[i].data.ptr == watch) {
            loop->ready[i].data.ptr = NULL;
        }
    }
}

void loop_watch_remove(LoopWatch *watch)
{
    if (watch->fd >= 0) {
        watch_take_out(watch);
        watch->fd = -1;
    }
}

void loop_watch_move(LoopWatch *watch)
{
    if (watch->fd >= 0 && watch->loop != loop_current()) {
        watch_take_out(watch);
        watch_insert(watch);
    }
}
