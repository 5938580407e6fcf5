/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * File descriptors in the main loop.
 *
 * GLib's own loop polls, and its cost grows with the number of descriptors;
 * so all of ours stand in one epoll set, which is one GSource to GLib: a
 * wakeup costs the same with three descriptors and with three thousand.
 * Timers and signals of the control plane are GLib's.
 *
 * A watch is embedded in its owner. Its function may add, change and remove
 * any watch, its own included, and free the owner after the removal.
 * One loop, main thread only.
 */
#ifndef TF_BASE_LOOP_H
#define TF_BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

/* @events: what epoll reported (EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP). */
typedef void LoopFunc(void *opaque, uint32_t events);

typedef struct LoopWatch {
    int fd; /* -1 while not watched; borrowed from the owner */
    uint32_t events;
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

/* A timer of microsecond resolution, for pacing and sampling. It needs no
 * descriptor of its own, and to move it is cheap. */
typedef struct LoopTimer {
    uint64_t due; /* CLOCK_MONOTONIC, ns */
    unsigned place;
    void (*func)(void *opaque);
    void *opaque;
    bool armed;
} LoopTimer;

#define LOOP_TIMER_INIT ((LoopTimer){.armed = false})

void loop_timer_open(LoopTimer *timer, void (*func)(void *opaque),
                     void *opaque);
/* Fires once, @us microseconds from now; replaces an earlier setting. */
void loop_timer_set(LoopTimer *timer, uint64_t us);
void loop_timer_cancel(LoopTimer *timer);
/* Harmless if not open. Before its memory goes. */
void loop_timer_close(LoopTimer *timer);

/* Runs until loop_quit(). loop_iterate() runs one round (tests). */
void loop_run(void);
void loop_quit(void);
void loop_iterate(bool may_block);

#endif
