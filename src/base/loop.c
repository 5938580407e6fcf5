/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/loop.h"

#include "base/loop-internal.h"

#include <errno.h>

typedef struct LoopSource {
    GSource source;
    Loop loop;
} LoopSource;

static Loop *loop;
static GMainLoop *main_loop;

static gboolean loop_dispatch(GSource *source, GSourceFunc callback,
                              gpointer user_data)
{
    Loop *self = &((LoopSource *)source)->loop;
    int n = epoll_wait(self->epoll_fd, self->ready, LOOP_BATCH, 0);

    (void)callback;
    (void)user_data;
    self->pending = MAX(n, 0);
    for (int i = 0; i < self->pending; i++) {
        LoopWatch *watch = self->ready[i].data.ptr;

        if (watch) {
            watch->func(watch->opaque, self->ready[i].events);
        }
    }
    self->pending = 0;
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs loop_funcs = {.dispatch = loop_dispatch};

Loop *loop_get(void)
{
    if (!loop) {
        GSource *source = g_source_new(&loop_funcs, sizeof(LoopSource));

        loop = &((LoopSource *)source)->loop;
        loop->clock = LOOP_WATCH_INIT;
        loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        g_assert(loop->epoll_fd >= 0);
        g_source_add_unix_fd(source, loop->epoll_fd, G_IO_IN);
        g_source_set_name(source, "epoll");
        g_source_attach(source, NULL);
    }
    return loop;
}

void loop_watch_add(LoopWatch *watch, int fd, uint32_t events, LoopFunc *func,
                    void *opaque)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};

    g_assert(fd >= 0);
    *watch =
        (LoopWatch){.fd = fd, .events = events, .func = func, .opaque = opaque};
    if (epoll_ctl(loop_get()->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        /* A regular file (stdio redirected) can't be watched: never ready. */
        g_assert(errno == EPERM);
    }
}

void loop_watch_modify(LoopWatch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};

    if (watch->events != events) {
        watch->events = events;
        epoll_ctl(loop_get()->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event);
    }
}

void loop_watch_remove(LoopWatch *watch)
{
    Loop *self = loop_get();

    if (watch->fd < 0) {
        return;
    }
    epoll_ctl(self->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    watch->fd = -1;
    for (int i = 0; i < self->pending; i++) {
        if (self->ready[i].data.ptr == watch) {
            self->ready[i].data.ptr = NULL;
        }
    }
}

void loop_run(void)
{
    loop_get();
    main_loop = g_main_loop_new(NULL, FALSE);
    g_main_loop_run(main_loop);
    g_clear_pointer(&main_loop, g_main_loop_unref);
}

void loop_quit(void)
{
    if (main_loop) {
        g_main_loop_quit(main_loop);
    }
}

void loop_iterate(bool may_block)
{
    loop_get();
    g_main_context_iteration(NULL, may_block);
}
