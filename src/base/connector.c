/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/connector.h"

#include "base/error.h"
#include "base/thread.h"

#include <errno.h>
#include <netdb.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Resolving a name. The connector and its thread each hold a reference. */
struct Lookup {
    Address address;        /* host, port and family */
    int done;               /* an eventfd */
    struct addrinfo *found; /* or NULL and the error, when it is done */
    GError *error;
    unsigned references;
};

static pthread_mutex_t lookups_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t lookups_over = PTHREAD_COND_INITIALIZER;
static unsigned lookups; /* threads */

static void lookup_free(Lookup *self)
{
    if (self->done >= 0) {
        close(self->done);
    }
    if (self->found) {
        freeaddrinfo(self->found);
    }
    g_clear_error(&self->error);
    address_clear(&self->address);
    g_free(self);
}

static void lookups_add(int threads)
{
    pthread_mutex_lock(&lookups_mutex);
    lookups += (unsigned)threads;
    pthread_cond_broadcast(&lookups_over);
    pthread_mutex_unlock(&lookups_mutex);
}

static void lookup_release(Lookup *self)
{
    bool last;

    pthread_mutex_lock(&lookups_mutex);
    last = --self->references == 0;
    pthread_mutex_unlock(&lookups_mutex);
    if (last) {
        lookup_free(self);
    }
}

static void *lookup_run(void *opaque)
{
    Lookup *self = opaque;
    uint64_t one = 1;

    self->found = address_resolve(&self->address, &self->error);
    if (write(self->done, &one, sizeof(one)) < 0) {
        g_assert_not_reached(); /* it was 0 */
    }
    lookup_release(self);
    lookups_add(-1);
    return NULL;
}

/* Starts the thread; false and an errno. */
static bool lookup_start(Lookup *self, int *error)
{
    pthread_t thread;

    self->done = eventfd(0, EFD_CLOEXEC);
    if (self->done < 0) {
        *error = errno;
        return false;
    }
    lookups_add(1);
    *error = thread_start(&thread, lookup_run, self);
    if (*error) {
        lookups_add(-1);
        return false;
    }
    pthread_detach(thread);
    return true;
}

static Lookup *lookup_new(const Address *address, GError **errp)
{
    Lookup *self = g_new0(Lookup, 1);
    int error;

    self->references = 2;
    self->address = (Address){.type = ADDRESS_INET,
                              .host = g_strdup(address->host),
                              .port = g_strdup(address->port),
                              .family = address->family};
    if (!lookup_start(self, &error)) {
        tf_error_set_errno(errp, error, "can not look up '%s'", address->host);
        lookup_free(self);
        return NULL;
    }
    return self;
}

void connector_wait_lookups(void)
{
    pthread_mutex_lock(&lookups_mutex);
    while (lookups > 0) {
        pthread_cond_wait(&lookups_over, &lookups_mutex);
    }
    pthread_mutex_unlock(&lookups_mutex);
}

void connector_init(Connector *self, const Address *address,
                    ConnectorFunc *func, void *opaque)
{
    *self = (Connector){.address = address,
                        .func = func,
                        .opaque = opaque,
                        .fd = -1,
                        .watch = LOOP_WATCH_INIT};
}

static void connector_event(void *opaque, uint32_t events)
{
    Connector *self = opaque;
    g_autoptr(GError) error = NULL;
    int fd = self->fd;

    if (!address_connect_done(self->address, fd, &error)) {
        connector_stop(self);
        self->func(self->opaque, -1, error->message);
        return;
    }
    loop_watch_remove(&self->watch);
    self->fd = -1;
    self->func(self->opaque, fd, NULL);
}

/* @found: what the name resolves to; NULL: the address is not a name. */
static void connector_connect(Connector *self, const struct addrinfo *found)
{
    g_autoptr(GError) error = NULL;

    self->fd = address_connect(self->address, found, self->attempts++, &error);
    if (self->fd < 0) {
        self->func(self->opaque, -1, error->message);
        return;
    }
    loop_watch_add(&self->watch, self->fd, EPOLLOUT, connector_event, self);
}

static void connector_looked_up(void *opaque, uint32_t events)
{
    Connector *self = opaque;
    Lookup *lookup = g_steal_pointer(&self->lookup);
    uint64_t count;

    loop_watch_remove(&self->watch);
    if (read(lookup->done, &count, sizeof(count)) < 0) {
        /* It is readable: its thread has written. */
    }
    if (lookup->found) {
        connector_connect(self, lookup->found);
    } else {
        self->func(self->opaque, -1, lookup->error->message);
    }
    lookup_release(lookup);
}

void connector_start(Connector *self)
{
    g_autoptr(GError) error = NULL;

    if (!address_is_name(self->address)) {
        connector_connect(self, NULL);
        return;
    }
    self->lookup = lookup_new(self->address, &error);
    if (!self->lookup) {
        self->func(self->opaque, -1, error->message);
        return;
    }
    loop_watch_add(&self->watch, self->lookup->done, EPOLLIN,
                   connector_looked_up, self);
}

void connector_stop(Connector *self)
{
    if (!self->func) {
        return;
    }
    loop_watch_remove(&self->watch);
    g_clear_pointer(&self->lookup, lookup_release);
    if (self->fd >= 0) {
        close(self->fd);
        self->fd = -1;
    }
}

void connector_move(Connector *self)
{
    loop_watch_move(&self->watch);
}
