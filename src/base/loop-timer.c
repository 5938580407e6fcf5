/* SPDX-License-Identifier: BSD-2-Clause */
/* Timers: a binary heap by time. The earliest ends the loop's wait. */
#include "base/loop-internal.h"

#include <time.h>

uint64_t loop_now(void)
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

/* Puts @timer into the heap, moving others to the hole at @place. */
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

uint64_t loop_timers_due(const Loop *loop)
{
    return loop->timers->len > 0 ? heap_at(loop, 1)->due : LOOP_NEVER;
}

/* Timers that are set by callbacks count from now, and run in the next
 * round. */
void loop_timers_run(Loop *loop, void (*yield)(Loop *loop))
{
    uint64_t now = loop->timers->len > 0 ? loop_now() : 0;

    while (loop_timers_due(loop) <= now) {
        LoopTimer *timer = heap_at(loop, 1);

        loop_timer_cancel(timer);
        timer->func(timer->opaque);
        if (yield) {
            yield(loop);
        }
    }
}

void loop_timer_open(LoopTimer *timer, void (*func)(void *opaque), void *opaque)
{
    *timer =
        (LoopTimer){.loop = loop_current(), .func = func, .opaque = opaque};
}

/* Inserts @timer, or moves it after its time has changed. */
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
    if (timer->place == 1 && loop->runner != loop_self()) {
        loop_wake(loop);
    }
}

void loop_timer_set(LoopTimer *timer, uint64_t us)
{
    timer->due = loop_now() + MAX(us, 1) * 1000;
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
