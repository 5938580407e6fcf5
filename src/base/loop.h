/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loops: file descriptors and timers, and who calls for them.
 *
 * Two loops belong to the main thread: the control loop (monitors, VMs,
 * links) and the main loop, for packets of what is on no thread of its own.
 * An iothread runs a third kind (loop-thread.h). All descriptors of a loop
 * stand in one epoll set, which of the main thread's loops is one GSource
 * each: a wakeup costs the same with three descriptors and with three
 * thousand.
 *
 * A watch is embedded in its owner. Its function may add, change and remove
 * any watch of its loop, its own included, and free the owner after the
 * removal. What is added goes to the current loop; what is there may only be
 * touched by who holds its loop: the loop's own functions, and the control
 * loop's, which hold all (docs/architecture.md, "Threads").
 */
#ifndef TF_BASE_LOOP_H
#define TF_BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

typedef struct Loop Loop;

Loop *loop_control(void);
Loop *loop_main(void);

/* The loop that watches and timers are added to: that whose function runs,
 * else the control loop, unless another one has been entered. */
Loop *loop_current(void);
/* @loop, which the caller holds, is the current one until loop_leave() is
 * called with what this returned. */
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
/* Call it before the descriptor is closed. Harmless if not watched. */
void loop_watch_remove(LoopWatch *watch);
/* To the current loop, by who holds both. Harmless if not watched. */
void loop_watch_move(LoopWatch *watch);

/* A timer of microsecond resolution, for pacing and sampling. It needs no
 * descriptor of its own, and to move it is cheap. */
typedef struct LoopTimer {
    uint64_t due; /* CLOCK_MONOTONIC, ns */
    unsigned place;
    Loop *loop;
    void (*func)(void *opaque);
    void *opaque;
    bool armed;
} LoopTimer;

#define LOOP_TIMER_INIT ((LoopTimer){.armed = false})

/* It belongs to the current loop from now on. */
void loop_timer_open(LoopTimer *timer, void (*func)(void *opaque),
                     void *opaque);
/* Fires once, @us microseconds from now; replaces an earlier setting. */
void loop_timer_set(LoopTimer *timer, uint64_t us);
void loop_timer_cancel(LoopTimer *timer);
/* To the current loop, by who holds both. Harmless if not open. */
void loop_timer_move(LoopTimer *timer);
/* Harmless if not open. Before its memory goes. */
void loop_timer_close(LoopTimer *timer);

/* Runs until loop_quit(). loop_iterate() runs one round (tests). */
void loop_run(void);
void loop_quit(void);
void loop_iterate(bool may_block);

#endif
