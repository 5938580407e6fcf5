/* SPDX-License-Identifier: BSD-2-Clause */
#include "chardev/socket-greeting.h"

#include "base/loop.h"

#include <errno.h>
#include <sys/epoll.h>

#define GREETING_TIMEOUT_MS 10000
/* 10 KiB each; 200 KiB if a peer sends as much as GnuTLS takes. */
#define GREETING_MAX 32

struct Greetings {
    const GreetingHandlers *handlers;
    void *opaque;
    GPtrArray *list; /* Greeting *, the oldest first */
};

typedef struct Greeting {
    Greetings *all;
    Transport *transport; /* NULL: it has got another owner */
    LoopWatch watch;
    guint timer;
} Greeting;

static void greeting_free(void *opaque)
{
    Greeting *self = opaque;

    g_clear_handle_id(&self->timer, g_source_remove);
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

void greetings_clear(Greetings *self)
{
    g_ptr_array_set_size(self->list, 0);
}

/* The handshake of @transport, which is in the list no more, is over. The
 * owner may free everything in his handler. */
static void greetings_end(const Greetings *self, Transport *transport, int rc)
{
    const char *failure = transport_failure(transport);
    g_autofree char *why = g_strdup(failure ? failure : g_strerror(-rc));

    if (rc == 0) {
        self->handlers->ready(self->opaque, transport);
    } else {
        self->handlers->failed(self->opaque, transport, why);
        transport_free(transport);
    }
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

static gboolean greeting_timeout(gpointer opaque)
{
    Greeting *self = opaque;

    self->timer = 0;
    greeting_end(self, -ETIMEDOUT);
    return G_SOURCE_REMOVE;
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
    greeting->timer =
        g_timeout_add(GREETING_TIMEOUT_MS, greeting_timeout, greeting);
    loop_watch_add(&greeting->watch, transport->fd, EPOLLIN, greeting_event,
                   greeting);
    greeting_watch(greeting);
    g_ptr_array_add(self->list, greeting);
}
