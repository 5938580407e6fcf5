/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Event loops: file descriptors (watches) and timers.
 *
 * The main thread has two loops: the control loop (monitors, VMs, links) and
 * the main loop, for the packets of netdevs without an iothread. Each iothread
 * runs a loop of its own (loop-thread.h). A loop is one epoll set and one heap
 * of timers: a wakeup costs the same with three descriptors and with three
 * thousand.
 *
 * Watches and timers are embedded in their owner and added to the current
 * loop. A callback may add, change and remove any watch of its loop, its own
 * included, and free the owner after the removal.
 *
 * Locking: a watch or timer may only be touched by a thread that holds its
 * loop. Callbacks of a loop hold that loop; callbacks of the control loop hold
 * all loops (docs/architecture.md, "Threads"). Asserted.
 */
#ifndef TF_BASE_LOOP_H
#define TF_BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

typedef struct Loop Loop;

Loop *loop_control(void);
Loop *loop_main(void);

/* The loop that watches and timers are added to: the one last entered, else
 * the one whose callback runs, else the control loop. */
Loop *loop_current(void);
/* Makes @loop, which the caller holds, the current one. Returns the one before,
 * for loop_leave(). */
Loop *loop_enter(Loop *loop);
void loop_leave(Loop *before);

/* @events: what epoll reported (EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP). */
typedef void LoopFunc(void *opaque, uint32_t events);

typedef struct LoopWatch {
    int fd; /* -1 while not watched; borrowed from the owner */
    uint32_t events;
    Loop *loop;
    LoopFunc *func;
    void *opaque;
} LoopWatch;

#define LOOP_WATCH_INIT ((LoopWatch){.fd = -1})

/* Watches @fd for @events (0 is allowed: errors and hang-ups only). */
void loop_watch_add(LoopWatch *watch, int fd, uint32_t events, LoopFunc *func,
                    void *opaque);
void loop_watch_modify(LoopWatch *watch, uint32_t events);
/* To be called before the descriptor is closed. Harmless if not watched. */
void loop_watch_remove(LoopWatch *watch);
/* Moves it to the current loop; the caller holds both. Harmless if not
 * watched. */
void loop_watch_move(LoopWatch *watch);

/* A one-shot timer of microsecond resolution, for pacing and sampling. It needs
 * no descriptor, and setting it again is cheap. */
typedef struct LoopTimer {
    uint64_t due;   /* CLOCK_MONOTONIC, ns */
    unsigned place; /* in the loop's heap, while armed */
    Loop *loop;
    void (*func)(void *opaque);
    void *opaque;
    bool armed;
} LoopTimer;

#define LOOP_TIMER_INIT ((LoopTimer){.armed = false})

/* Binds it to the current loop. */
void loop_timer_open(LoopTimer *timer, void (*func)(void *opaque),
                     void *opaque);
/* Fires once, @us microseconds from now; replaces an earlier setting. */
void loop_timer_set(LoopTimer *timer, uint64_t us);
void loop_timer_cancel(LoopTimer *timer);
/* Moves it to the current loop; the caller holds both. Harmless if not open. */
void loop_timer_move(LoopTimer *timer);
/* To be called before its memory is freed. Harmless if not open. */
void loop_timer_close(LoopTimer *timer);

/* Runs until loop_quit(). loop_iterate() runs one round (tests). */
void loop_run(void);
void loop_quit(void);
void loop_iterate(bool may_block);

#endif
