/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/loop-thread.h"

#include "base/error.h"
#include "base/loop-internal.h"
#include "base/thread.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

static GPtrArray *threads; /* Loop *; NULL: none */
static bool threads_run;
static unsigned holds; /* how often the main thread holds them */

/* Tickets */

static void thread_hold(Loop *loop)
{
    unsigned ticket;

    pthread_mutex_lock(&loop->mutex);
    ticket = loop->tickets;
    __atomic_store_n(&loop->tickets, ticket + 1, __ATOMIC_RELAXED);
    while (loop->serving != ticket) {
        pthread_cond_wait(&loop->turn, &loop->mutex);
    }
    loop->holder = loop_self();
    pthread_mutex_unlock(&loop->mutex);
}

static void thread_release(Loop *loop)
{
    pthread_mutex_lock(&loop->mutex);
    loop->holder = NULL;
    if (++loop->serving != loop->tickets) {
        pthread_cond_broadcast(&loop->turn);
    }
    pthread_mutex_unlock(&loop->mutex);
}

/* For the holder: does another thread wait for it? */
static bool thread_is_wanted(const Loop *loop)
{
    return __atomic_load_n(&loop->tickets, __ATOMIC_RELAXED) !=
           loop->serving + 1;
}

static void thread_yield(Loop *loop)
{
    if (thread_is_wanted(loop)) {
        thread_release(loop);
        thread_hold(loop);
    }
}

/* Being woken */

static void thread_woken(void *opaque, uint32_t events)
{
    Loop *loop = opaque;
    uint64_t count;

    if (read(loop->wake.fd, &count, sizeof(count)) < 0) {
        /* EAGAIN: it was not set. */
    }
}

void loop_wake(Loop *loop)
{
    uint64_t one = 1;

    if (write(loop->wake.fd, &one, sizeof(one)) < 0) {
        /* EAGAIN: it is set already. */
    }
}

static bool thread_open_wake(Loop *loop)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (fd >= 0) {
        loop_watch_add(&loop->wake, fd, EPOLLIN, thread_woken, loop);
    }
    return fd >= 0;
}

static void thread_close_wake(Loop *loop)
{
    int fd = loop->wake.fd;

    if (fd >= 0) {
        loop_watch_remove(&loop->wake);
        close(fd);
    }
}

/* The thread */

static void thread_end(void *opaque)
{
    ((Loop *)opaque)->ended = true;
}

static void *thread_main(void *opaque)
{
    Loop *loop = opaque;

    pthread_setname_np(pthread_self(), loop->name);
    loop_set_current(loop);
    pthread_mutex_lock(&loop->mutex);
    loop->tid = gettid();
    pthread_cond_broadcast(&loop->turn);
    pthread_mutex_unlock(&loop->mutex);
    thread_hold(loop);
    loop->runner = loop_self();
    while (!loop->ended) {
        unsigned removals = loop->removals;
        uint64_t due = loop_timers_due(loop);
        int n;

        thread_release(loop);
        n = loop_wait(loop, due);
        thread_hold(loop);
        if (loop->removals != removals) {
            /* Watches were removed meanwhile: ask again; epoll is
             * level-triggered. */
            n = loop_wait(loop, 0);
        }
        loop_visit(loop, n, thread_yield);
    }
    thread_release(loop);
    return NULL;
}

static bool thread_run(Loop *loop, GError **errp)
{
    int rc = thread_start(&loop->thread, thread_main, loop);

    if (rc) {
        return tf_error_set_errno(errp, rc, "can not start a thread");
    }
    loop->started = true;
    pthread_mutex_lock(&loop->mutex);
    while (!loop->tid) {
        pthread_cond_wait(&loop->turn, &loop->mutex);
    }
    pthread_mutex_unlock(&loop->mutex);
    return true;
}

/* Calls to the main thread */

typedef struct Call {
    void (*func)(void *opaque);
    void *opaque;
} Call;

static pthread_mutex_t calls_mutex = PTHREAD_MUTEX_INITIALIZER;
static GArray *calls; /* Call; made with the first thread */
static int calls_fd;
static LoopWatch calls_watch = {.fd = -1};

static void calls_run(void *opaque, uint32_t events)
{
    g_autoptr(GArray) mine = NULL;
    uint64_t count;

    if (read(calls_fd, &count, sizeof(count)) < 0) {
        return;
    }
    pthread_mutex_lock(&calls_mutex);
    mine = calls;
    calls = g_array_new(FALSE, FALSE, sizeof(Call));
    pthread_mutex_unlock(&calls_mutex);
    for (guint i = 0; i < mine->len; i++) {
        Call *call = &g_array_index(mine, Call, i);

        call->func(call->opaque);
    }
}

static bool calls_begin(void)
{
    Loop *before;

    if (calls) {
        return true;
    }
    calls_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (calls_fd < 0) {
        return false;
    }
    calls = g_array_new(FALSE, FALSE, sizeof(Call));
    before = loop_enter(loop_control());
    loop_watch_add(&calls_watch, calls_fd, EPOLLIN, calls_run, NULL);
    loop_leave(before);
    return true;
}

void loop_call_main(void (*func)(void *opaque), void *opaque)
{
    Call call = {func, opaque};
    uint64_t one = 1;

    if (loop_control()->holder == loop_self()) {
        func(opaque);
        return;
    }
    pthread_mutex_lock(&calls_mutex);
    g_array_append_val(calls, call);
    pthread_mutex_unlock(&calls_mutex);
    if (write(calls_fd, &one, sizeof(one)) < 0) {
        /* EAGAIN: it is set already. */
    }
}

/* All of them */

/* What it needs of the system; false and errno. The caller holds it. */
static bool thread_open(Loop *loop)
{
    Loop *before;
    bool ok;

    if (!loop_init(loop) || !calls_begin()) {
        return false;
    }
    before = loop_enter(loop);
    ok = thread_open_wake(loop);
    loop_timer_open(&loop->end, thread_end, loop);
    loop_leave(before);
    return ok;
}

static void thread_free(Loop *loop)
{
    thread_close_wake(loop);
    loop_clear(loop);
    pthread_cond_destroy(&loop->turn);
    pthread_mutex_destroy(&loop->mutex);
    g_free(loop->name);
    g_free(loop);
}

Loop *loop_thread_new(const char *name, GError **errp)
{
    Loop *loop = g_new0(Loop, 1);
    bool ok;

    if (!threads) {
        threads = g_ptr_array_new();
    }
    loop->name = g_strndup(name, 15); /* what the kernel keeps */
    loop->wake = LOOP_WATCH_INIT;
    pthread_mutex_init(&loop->mutex, NULL);
    pthread_cond_init(&loop->turn, NULL);
    thread_hold(loop);
    ok = thread_open(loop) ||
         tf_error_set_errno(errp, errno, "can not make a thread");
    if (!ok || (threads_run && !thread_run(loop, errp))) {
        thread_free(loop);
        return NULL;
    }
    g_ptr_array_add(threads, loop);
    if (holds == 0) {
        thread_release(loop);
    }
    return loop;
}

void loop_thread_free(Loop *loop)
{
    g_ptr_array_remove(threads, loop);
    if (holds == 0) {
        thread_hold(loop);
    }
    if (loop->started) {
        loop_timer_set(&loop->end, 0);
        thread_release(loop);
        pthread_join(loop->thread, NULL);
        thread_hold(loop);
    }
    thread_free(loop);
}

pid_t loop_thread_id(const Loop *loop)
{
    return loop->tid;
}

bool loop_threads_start(GError **errp)
{
    threads_run = true;
    for (guint i = 0; threads && i < threads->len; i++) {
        if (!thread_run(threads->pdata[i], errp)) {
            return false;
        }
    }
    return true;
}

void loop_threads_hold(void)
{
    bool first = holds++ == 0;

    for (guint i = 0; first && threads && i < threads->len; i++) {
        thread_hold(threads->pdata[i]);
    }
}

void loop_threads_release(void)
{
    bool last = --holds == 0;

    for (guint i = 0; last && threads && i < threads->len; i++) {
        thread_release(threads->pdata[i]);
    }
}

void loop_threads_yield(void)
{
    for (guint i = 0; holds == 1 && threads && i < threads->len; i++) {
        thread_yield(threads->pdata[i]);
    }
}
