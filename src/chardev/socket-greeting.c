/* SPDX-License-Identifier: BSD-2-Clause */
#include "chardev/socket-greeting.h"

#include "base/loop.h"

#include <errno.h>
#include <sys/epoll.h>

#define GREETING_TIMEOUT_US 10000000
/* Handshakes at a time: 10 KiB each, up to 200 KiB if the peer sends as much as
 * GnuTLS accepts. */
#define GREETING_MAX 32

struct Greetings {
    const GreetingHandlers *handlers;
    void *opaque;
    GPtrArray *list; /* Greeting *, the oldest first */
};

typedef struct Greeting {
    Greetings *all;
    Transport *transport; /* NULL: passed on to the owner */
    LoopWatch watch;
    LoopTimer timer;
} Greeting;

static void greeting_free(void *opaque)
{
    Greeting *self = opaque;

    loop_timer_close(&self->timer);
    loop_watch_remove(&self->watch);
    transport_free(self->transport);
    g_free(self);
}

Greetings *greetings_new(const GreetingHandlers *handlers, void *opaque)
{
    Greetings *self = g_new(Greetings, 1);

    *self = (Greetings){
        .handlers = handlers,
        .opaque = opaque,
        .list = g_ptr_array_new_with_free_func(greeting_free),
    };
    return self;
}

void greetings_free(Greetings *self)
{
    if (self) {
        g_ptr_array_unref(self->list);
        g_free(self);
    }
}

void greetings_move(Greetings *self)
{
    for (guint i = 0; i < self->list->len; i++) {
        Greeting *greeting = self->list->pdata[i];

        loop_watch_move(&greeting->watch);
        loop_timer_move(&greeting->timer);
    }
}

void greetings_clear(Greetings *self)
{
    g_ptr_array_set_size(self->list, 0);
}

/* The handshake of @transport, which was removed from the list, is over. The
 * handler may free the list. */
static void greetings_end(const Greetings *self, Transport *transport, int rc)
{
    const char *failure;
    g_autofree char *why = NULL;

    if (rc == 0) {
        self->handlers->ready(self->opaque, transport);
        return;
    }
    failure = transport_failure(transport);
    why = g_strdup(failure ? failure : g_strerror(-rc));
    self->handlers->failed(self->opaque, transport, why);
    transport_free(transport);
}

static void greeting_end(Greeting *self, int rc)
{
    Greetings *all = self->all;
    Transport *transport = g_steal_pointer(&self->transport);

    loop_watch_remove(&self->watch);
    g_ptr_array_remove(all->list, self);
    greetings_end(all, transport, rc);
}

static void greeting_watch(Greeting *self)
{
    bool owes = transport_owes(self->transport);

    loop_watch_modify(&self->watch, EPOLLIN | (owes ? EPOLLOUT : 0));
}

static void greeting_event(void *opaque, uint32_t events)
{
    Greeting *self = opaque;
    int rc;

    transport_flush(self->transport);
    rc = transport_handshake(self->transport);
    if (rc == -EAGAIN) {
        greeting_watch(self);
    } else {
        greeting_end(self, rc);
    }
}

static void greeting_timeout(void *opaque)
{
    greeting_end(opaque, -ETIMEDOUT);
}

void greetings_add(Greetings *self, Transport *transport)
{
    int rc = transport_handshake(transport);
    Greeting *greeting;

    if (rc != -EAGAIN) {
        greetings_end(self, transport, rc);
        return;
    }
    if (self->list->len == GREETING_MAX) {
        g_ptr_array_remove_index(self->list, 0);
    }
    greeting = g_new0(Greeting, 1);
    greeting->all = self;
    greeting->transport = transport;
    loop_timer_open(&greeting->timer, greeting_timeout, greeting);
    loop_timer_set(&greeting->timer, GREETING_TIMEOUT_US);
    loop_watch_add(&greeting->watch, transport->fd, EPOLLIN, greeting_event,
                   greeting);
    greeting_watch(greeting);
    g_ptr_array_add(self->list, greeting);
}
