/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loops in threads: what the main thread does while it holds them, and what
 * they do, never meet. Meant for ThreadSanitizer; without it the counts still
 * tell.
 */
#include "base/loop-thread.h"

#include "base/event.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <glib.h>

#define THREADS 3
#define ROUNDS 2000

typedef struct Ticker {
    Loop *loop;
    LoopWatch watch; /* always ready */
    int fd;
    LoopTimer timer;
    unsigned watched, timed;
    char *memory; /* is replaced by the main thread, and read by the thread */
} Ticker;

static unsigned delivered;

static void ticker_ready(void *opaque, uint32_t events)
{
    Ticker *ticker = opaque;

    g_assert_true(loop_current() == ticker->loop);
    g_assert_cmpstr(ticker->memory, ==, "memory");
    ticker->watched++;
}

static void ticker_timed(void *opaque)
{
    Ticker *ticker = opaque;

    g_assert_true(loop_current() == ticker->loop);
    ticker->timed++;
    if (ticker->timed % 16 == 0) {
        event_emit("TICK", json_pack("{s:i}", "n", (int)ticker->timed));
    }
    loop_timer_set(&ticker->timer, 50);
}

static void ticker_start(Ticker *ticker)
{
    Loop *before;

    loop_threads_hold();
    ticker->loop = loop_thread_new("ticker", NULL);
    before = loop_enter(ticker->loop);
    ticker->fd = eventfd(1, EFD_CLOEXEC);
    ticker->memory = g_strdup("memory");
    loop_watch_add(&ticker->watch, ticker->fd, EPOLLIN, ticker_ready, ticker);
    loop_timer_open(&ticker->timer, ticker_timed, ticker);
    loop_timer_set(&ticker->timer, 0);
    loop_leave(before);
    loop_threads_release();
}

static void ticker_stop(Ticker *ticker)
{
    loop_threads_hold();
    g_assert_cmpuint(ticker->timed, >, 0);
    loop_watch_remove(&ticker->watch);
    loop_timer_close(&ticker->timer);
    close(ticker->fd);
    loop_thread_free(ticker->loop);
    g_free(ticker->memory);
    loop_threads_release();
}

/* What a command does to what a thread works on. */
static void ticker_disturb(Ticker *ticker)
{
    Loop *before = loop_enter(ticker->loop);

    memset(ticker->memory, 'x', strlen(ticker->memory));
    g_free(ticker->memory);
    ticker->memory = g_strdup("memory");
    loop_watch_remove(&ticker->watch);
    loop_watch_add(&ticker->watch, ticker->fd, EPOLLIN, ticker_ready, ticker);
    loop_timer_set(&ticker->timer, 100);
    loop_leave(before);
}

static void took(const char *name, json_t *data)
{
    g_assert_cmpstr(name, ==, "TICK");
    g_assert_true(loop_current() == loop_control());
    delivered++;
}

static void test_held(void)
{
    Ticker tickers[THREADS] = {0};
    unsigned seen[THREADS], moved = 0;

    event_set_sink(took);
    g_assert_true(loop_threads_start(NULL));
    for (int i = 0; i < THREADS; i++) {
        ticker_start(&tickers[i]);
    }
    for (int round = 0; round < ROUNDS; round++) {
        Ticker *ticker = &tickers[round % THREADS];

        loop_threads_hold();
        for (int i = 0; i < THREADS; i++) {
            seen[i] = tickers[i].watched;
        }
        ticker_disturb(ticker);
        sched_yield();
        for (int i = 0; i < THREADS; i++) {
            g_assert_cmpuint(tickers[i].watched, ==, seen[i]);
        }
        loop_threads_yield();
        for (int i = 0; i < THREADS; i++) {
            moved += tickers[i].watched != seen[i];
        }
        loop_threads_release();
        loop_iterate(false);
    }
    /* Each wanted to work, most of the time, when it was let. */
    g_assert_cmpuint(moved, >, ROUNDS / 10);
    while (delivered < 10) {
        loop_iterate(true);
    }
    for (int i = 0; i < THREADS; i++) {
        ticker_stop(&tickers[i]);
    }
    event_set_sink(NULL);
}

typedef struct Mover {
    LoopWatch watch;
    LoopTimer timer;
    int fds[2];
    Loop *at; /* where it was called last */
    Loop *timed_at;
} Mover;

static void mover_ready(void *opaque, uint32_t events)
{
    ((Mover *)opaque)->at = loop_current();
}

static void mover_timed(void *opaque)
{
    ((Mover *)opaque)->timed_at = loop_current();
}

/* As a chardev goes to its frontend's loop and back. */
static void test_moved(void)
{
    Mover mover = {.watch = LOOP_WATCH_INIT};
    Loop *thread, *before, *at = NULL, *timed_at = NULL;

    g_assert_cmpint(pipe(mover.fds), ==, 0);
    g_assert_cmpint(write(mover.fds[1], "x", 1), ==, 1);
    loop_watch_add(&mover.watch, mover.fds[0], EPOLLIN, mover_ready, &mover);
    loop_timer_open(&mover.timer, mover_timed, &mover);
    loop_timer_set(&mover.timer, 20000);
    loop_threads_hold();
    thread = loop_thread_new("mover", NULL);
    before = loop_enter(thread);
    loop_watch_move(&mover.watch);
    loop_timer_move(&mover.timer);
    loop_leave(before);
    while (at != thread || timed_at != thread) {
        loop_threads_release();
        g_usleep(1000);
        loop_threads_hold();
        at = mover.at;
        timed_at = mover.timed_at;
    }
    loop_watch_move(&mover.watch);
    loop_timer_move(&mover.timer);
    loop_timer_set(&mover.timer, 1000);
    loop_thread_free(thread);
    loop_threads_release();
    while (mover.at != loop_control() || mover.timed_at != loop_control()) {
        loop_iterate(true);
    }
    loop_watch_remove(&mover.watch);
    loop_timer_close(&mover.timer);
    close(mover.fds[0]);
    close(mover.fds[1]);
}

/* With one descriptor more each time, until there are enough. */
static void test_refused(void)
{
    struct rlimit before, few;
    unsigned refusals = 0;
    Loop *loop = NULL;
    int unused;

    g_assert_nonnull(loop_control());
    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &before), ==, 0);
    unused = dup(STDERR_FILENO);
    close(unused);
    few = (struct rlimit){(rlim_t)unused, before.rlim_max};
    while (!loop) {
        g_autoptr(GError) error = NULL;

        g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &few), ==, 0);
        loop = loop_thread_new("refused", &error);
        g_assert_true(!loop == !!error);
        if (error) {
            refusals++;
            g_assert_nonnull(strstr(error->message, "Too many open files"));
        }
        few.rlim_cur++;
    }
    g_assert_cmpuint(refusals, ==, 3);
    setrlimit(RLIMIT_NOFILE, &before);
    loop_thread_free(loop);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/loop-thread/refused", test_refused);
    g_test_add_func("/loop-thread/held", test_held);
    g_test_add_func("/loop-thread/moved", test_moved);
    return g_test_run();
}
