/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Timers: a binary heap by time, and one timerfd for the earliest. Setting a
 * timer that is not the earliest, or moving one away, costs no system call;
 * a timerfd that fires for one that was moved is set anew then.
 */
#include "base/loop-internal.h"

#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static uint64_t clock_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* The heap: the children of place i (from 1) are at 2i and 2i + 1. */

static LoopTimer *heap_at(const Loop *loop, guint place)
{
    return loop->timers->pdata[place - 1];
}

static void heap_put(Loop *loop, guint place, LoopTimer *timer)
{
    loop->timers->pdata[place - 1] = timer;
    timer->place = place;
}

/* Moves @timer from the hole at @place to where it belongs. */
static void heap_settle(Loop *loop, guint place, LoopTimer *timer)
{
    guint n = loop->timers->len, child;

    for (; place > 1 && heap_at(loop, place / 2)->due > timer->due;
         place /= 2) {
        heap_put(loop, place, heap_at(loop, place / 2));
    }
    while ((child = 2 * place) <= n) {
        if (child < n &&
            heap_at(loop, child + 1)->due < heap_at(loop, child)->due) {
            child++;
        }
        if (heap_at(loop, child)->due >= timer->due) {
            break;
        }
        heap_put(loop, place, heap_at(loop, child));
        place = child;
    }
    heap_put(loop, place, timer);
}

static void heap_remove(Loop *loop, LoopTimer *timer)
{
    guint place = timer->place, n = loop->timers->len;
    LoopTimer *last = heap_at(loop, n);

    g_ptr_array_set_size(loop->timers, (gint)n - 1);
    timer->place = 0;
    if (last != timer) {
        heap_settle(loop, place, last);
    }
}

/* Has the timerfd fire in time for the earliest timer. */
static void clock_set(Loop *loop)
{
    uint64_t due = loop->timers->len > 0 ? heap_at(loop, 1)->due : 0;
    struct itimerspec when = {
        .it_value = {.tv_sec = (time_t)(due / 1000000000),
                     .tv_nsec = (long)(due % 1000000000)}};

    if (due > 0 && (loop->clock_next == 0 || due < loop->clock_next)) {
        loop->clock_next = due;
        timerfd_settime(loop->clock.fd, TFD_TIMER_ABSTIME, &when, NULL);
    }
}

static void clock_fired(void *opaque, uint32_t events)
{
    Loop *loop = opaque;
    uint64_t expirations, now = clock_now();
    LoopTimer *timer;

    (void)events;
    if (read(loop->clock.fd, &expirations, sizeof(expirations)) < 0) {
        return;
    }
    loop->clock_next = 0;
    while (loop->timers->len > 0 && (timer = heap_at(loop, 1))->due <= now) {
        loop_timer_cancel(timer);
        timer->func(timer->opaque);
    }
    clock_set(loop);
}

void loop_clock_open(Loop *loop)
{
    Loop *before = loop_enter(loop);
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);

    g_assert(fd >= 0);
    loop->timers = g_ptr_array_new();
    loop_watch_add(&loop->clock, fd, EPOLLIN, clock_fired, loop);
    loop_leave(before);
}

void loop_clock_close(Loop *loop)
{
    int fd = loop->clock.fd;

    loop_watch_remove(&loop->clock);
    close(fd);
    g_ptr_array_unref(loop->timers);
}

void loop_timer_open(LoopTimer *timer, void (*func)(void *opaque), void *opaque)
{
    *timer =
        (LoopTimer){.loop = loop_current(), .func = func, .opaque = opaque};
}

/* Puts @timer, which is in no heap, or whose time changed, where it belongs. */
static void timer_place(LoopTimer *timer)
{
    Loop *loop = timer->loop;

    g_assert(loop->holder == loop_self());
    if (!timer->armed) {
        g_ptr_array_add(loop->timers, timer);
        timer->place = loop->timers->len;
        timer->armed = true;
    }
    heap_settle(loop, timer->place, timer);
    clock_set(loop);
}

void loop_timer_set(LoopTimer *timer, uint64_t us)
{
    timer->due = clock_now() + MAX(us, 1) * 1000;
    timer_place(timer);
}

void loop_timer_move(LoopTimer *timer)
{
    bool armed = timer->armed;

    if (timer->loop && timer->loop != loop_current()) {
        loop_timer_cancel(timer);
        timer->loop = loop_current();
        if (armed) {
            timer_place(timer);
        }
    }
}

void loop_timer_cancel(LoopTimer *timer)
{
    if (timer->armed) {
        g_assert(timer->loop->holder == loop_self());
        timer->armed = false;
        heap_remove(timer->loop, timer);
    }
}

void loop_timer_close(LoopTimer *timer)
{
    loop_timer_cancel(timer);
}
