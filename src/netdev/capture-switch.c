/* SPDX-License-Identifier: BSD-2-Clause */
#include "netdev/capture-switch.h"

#include "base/loop.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct CaptureSwitch {
    const CaptureSwitchHandlers *handlers;
    void *opaque;
    CaptureSocket from; /* borrowed */
    CaptureSocket to;
    int ifindex;
    bool ring;
    CaptureFilter filter;
    pthread_t thread;
    bool started;
    bool announced; /* ready() was called: @to is not ours any more */
    int event_fd;   /* the thread counts its news here */
    LoopWatch watch;
    /* The thread's, until it is told by @event_fd */
    bool ready;
    bool ended;
    int error;
};

static void switch_tell(CaptureSwitch *self, bool *what)
{
    uint64_t one = 1;

    __atomic_store_n(what, true, __ATOMIC_RELEASE);
    while (write(self->event_fd, &one, sizeof(one)) < 0 && errno == EINTR) {
    }
}

static int switch_prepare(CaptureSwitch *self)
{
    int group = capture_socket_group(&self->from);
    int error = self->ring ? capture_socket_make_ring(&self->to) : 0;

    if (group == 0) {
        return EOPNOTSUPP;
    }
    /* The new one is the second of the group; what comes is the first's. */
    if (error == 0) {
        error = capture_socket_choose(&self->from, false);
    }
    if (error == 0) {
        error =
            capture_socket_bind(&self->to, self->ifindex, group, &self->filter);
    }
    return error;
}

static void *switch_run(void *opaque)
{
    CaptureSwitch *self = opaque;

    self->error = switch_prepare(self);
    if (self->error == 0) {
        switch_tell(self, &self->ready);
        /* There was a program: waits until nobody uses that any more. */
        self->error = capture_socket_choose(&self->from, true);
    }
    switch_tell(self, &self->ended);
    return NULL;
}

static void switch_told(void *opaque, uint32_t events)
{
    CaptureSwitch *self = opaque;
    uint64_t n;
    bool ended;

    if (read(self->event_fd, &n, sizeof(n)) < 0) {
        return;
    }
    ended = __atomic_load_n(&self->ended, __ATOMIC_ACQUIRE);
    if (!self->announced && __atomic_load_n(&self->ready, __ATOMIC_ACQUIRE)) {
        self->announced = true;
        self->handlers->ready(self->opaque, self->to);
    }
    if (ended) {
        self->handlers->done(self->opaque, self->error);
    }
}

/* Starts the thread, in which no signal is handled. */
static bool switch_start(CaptureSwitch *self)
{
    sigset_t all, before;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&self->thread, NULL, switch_run, self);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc == 0;
}

CaptureSwitch *capture_switch_new(const CaptureSocket *from, int ifindex,
                                  bool ring, const CaptureFilter *filter,
                                  const CaptureSwitchHandlers *handlers,
                                  void *opaque)
{
    CaptureSwitch *self = g_new0(CaptureSwitch, 1);

    self->handlers = handlers;
    self->opaque = opaque;
    self->from = *from;
    self->ifindex = ifindex;
    self->ring = ring;
    self->filter = *filter;
    self->watch = LOOP_WATCH_INIT;
    self->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (self->event_fd < 0 || !capture_socket_open(&self->to, NULL)) {
        capture_switch_free(self);
        return NULL;
    }
    loop_watch_add(&self->watch, self->event_fd, EPOLLIN, switch_told, self);
    self->started = switch_start(self);
    if (!self->started) {
        capture_switch_free(self);
        return NULL;
    }
    return self;
}

void capture_switch_wait(CaptureSwitch *self)
{
    if (self) {
        pthread_join(self->thread, NULL);
        self->started = false;
        switch_told(self, EPOLLIN);
    }
}

void capture_switch_free(CaptureSwitch *self)
{
    if (!self) {
        return;
    }
    if (self->started) {
        pthread_join(self->thread, NULL);
    }
    loop_watch_remove(&self->watch);
    if (!self->announced) {
        capture_socket_close(&self->to);
    }
    if (self->event_fd >= 0) {
        close(self->event_fd);
    }
    g_free(self);
}
