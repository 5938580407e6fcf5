/* SPDX-License-Identifier: BSD-2-Clause */
/* The main thread's loops, each a source of GLib's. */
#include "base/loop-internal.h"
#include "base/loop-thread.h"

typedef struct LoopSource {
    GSource source;
    Loop loop;
} LoopSource;

static Loop *control, *packets;
static GMainLoop *main_loop;

static gboolean packets_dispatch(GSource *source, GSourceFunc callback,
                                 gpointer user_data)
{
    Loop *loop = &((LoopSource *)source)->loop;

    (void)callback;
    (void)user_data;
    loop_visit(loop, epoll_wait(loop->epoll_fd, loop->ready, LOOP_BATCH, 0),
               NULL);
    return G_SOURCE_CONTINUE;
}

static void control_rest(Loop *loop)
{
    (void)loop;
    loop_threads_yield();
}

/* The only place where the control plane takes hold of the threads. */
static gboolean control_dispatch(GSource *source, GSourceFunc callback,
                                 gpointer user_data)
{
    Loop *loop = &((LoopSource *)source)->loop;

    (void)callback;
    (void)user_data;
    loop_threads_hold();
    loop_visit(loop, epoll_wait(loop->epoll_fd, loop->ready, LOOP_BATCH, 0),
               control_rest);
    loop_threads_release();
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs packets_funcs = {.dispatch = packets_dispatch};
static GSourceFuncs control_funcs = {.dispatch = control_dispatch};

static Loop *main_new(GSourceFuncs *funcs, const char *name)
{
    GSource *source = g_source_new(funcs, sizeof(LoopSource));
    Loop *loop = &((LoopSource *)source)->loop;

    loop->holder = loop_self();
    loop_init(loop);
    g_source_add_unix_fd(source, loop->epoll_fd, G_IO_IN);
    g_source_set_name(source, name);
    g_source_attach(source, NULL);
    return loop;
}

static void main_begin(void)
{
    if (!control) {
        control = main_new(&control_funcs, "control");
        packets = main_new(&packets_funcs, "packets");
    }
}

Loop *loop_control(void)
{
    main_begin();
    return control;
}

Loop *loop_main(void)
{
    main_begin();
    return packets;
}

void loop_run(void)
{
    main_begin();
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
    main_begin();
    g_main_context_iteration(NULL, may_block);
}
