/* SPDX-License-Identifier: BSD-2-Clause */
#include "vm/qmp-client.h"

#include "base/connector.h"
#include "base/log.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECONNECT_US 200000
/* A monitor greets at once, unless somebody else is its client. */
#define ANSWER_US 2000000
#define MAX_MESSAGE (16 * 1024 * 1024)

typedef struct QmpCall {
    QmpReplyFunc *func;
    void *opaque;
} QmpCall;

struct QmpClient {
    Address address;
    const char *name;
    const QmpClientHandlers *handlers;
    void *opaque;
    Connector connector;
    int fd;
    bool ready;
    bool answered;         /* it was once */
    const char *complaint; /* about the present outage, as the log has it */
    LoopWatch watch;
    LoopTimer timer; /* to the next attempt, or to the end of our patience */
    JsonFramer framer;
    GByteArray *output;
    GHashTable *calls; /* id -> QmpCall */
    gint next_id;
};

/* @what lasts for ever. */
static void client_complain(QmpClient *self, const char *what, const char *why)
{
    if (g_strcmp0(self->complaint, what) != 0) {
        log_warning("vm-qmp", "%s: %s: %s%s", self->name, what, why,
                    self->answered ? "; trying on"
                                   : "; until it answers, the VM counts as "
                                     "running for a source and as stopped for "
                                     "a destination");
        self->complaint = what;
    }
}

static void client_retry(QmpClient *self, const char *what, const char *why)
{
    client_complain(self, what, why);
    loop_timer_set(&self->timer, RECONNECT_US);
}

static void client_close(QmpClient *self, const char *why)
{
    g_autoptr(GHashTable) calls = self->calls;
    GHashTableIter iter;
    gpointer value;

    loop_watch_remove(&self->watch);
    close(self->fd);
    self->fd = -1;
    self->ready = false;
    json_framer_reset(&self->framer);
    g_byte_array_set_size(self->output, 0);
    self->calls = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    client_retry(self, "the connection ended", why);
    g_hash_table_iter_init(&iter, calls);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        QmpCall *call = value;

        call->func(call->opaque, NULL);
    }
}

static void client_update(QmpClient *self)
{
    uint32_t events = EPOLLIN;

    if (self->output->len > 0) {
        events |= EPOLLOUT;
    }
    loop_watch_modify(&self->watch, events);
}

static void client_flush(QmpClient *self)
{
    while (self->fd >= 0 && self->output->len > 0) {
        ssize_t n = send(self->fd, self->output->data, self->output->len,
                         MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0) {
            break; /* EAGAIN, or an error that the next read reports */
        }
        g_byte_array_remove_range(self->output, 0, (guint)n);
    }
    if (self->fd >= 0) {
        client_update(self);
    }
}

void qmp_client_call(QmpClient *self, const char *command, json_t *arguments,
                     QmpReplyFunc *func, void *opaque)
{
    json_auto_t *request = json_object();
    g_autofree char *text = NULL;
    QmpCall *call = g_new0(QmpCall, 1);

    *call = (QmpCall){.func = func, .opaque = opaque};
    self->next_id++;
    g_hash_table_insert(self->calls, GINT_TO_POINTER(self->next_id), call);
    json_object_set_new(request, "execute", json_string(command));
    if (arguments) {
        json_object_set_new(request, "arguments", arguments);
    }
    json_object_set_new(request, "id", json_integer(self->next_id));
    text = json_dumps(request, JSON_ENSURE_ASCII | JSON_COMPACT);
    g_byte_array_append(self->output, (const guint8 *)text,
                        (guint)strlen(text));
    g_byte_array_append(self->output, (const guint8 *)"\n", 1);
    client_flush(self);
}

void qmp_client_cancel(QmpClient *self, void *opaque)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, self->calls);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        if (((QmpCall *)value)->opaque == opaque) {
            g_hash_table_iter_remove(&iter);
        }
    }
}

static void client_negotiated(void *opaque, json_t *result)
{
    QmpClient *self = opaque;

    if (result) {
        self->ready = self->answered = true;
        self->complaint = NULL;
        loop_timer_cancel(&self->timer);
        self->handlers->ready(self->opaque);
    }
}

static void client_event(QmpClient *self, const char *name, json_t *message)
{
    json_t *stamp = json_object_get(message, "timestamp");
    int64_t seconds = json_integer_value(json_object_get(stamp, "seconds"));
    int64_t time_us =
        seconds * G_USEC_PER_SEC +
        json_integer_value(json_object_get(stamp, "microseconds"));

    /* A VM without a clock says -1. */
    self->handlers->event(self->opaque, name, json_object_get(message, "data"),
                          seconds > 0 ? time_us : g_get_real_time());
}

static void client_message(void *opaque, json_t *message, const char *error)
{
    QmpClient *self = opaque;
    const char *event = json_string_value(json_object_get(message, "event"));
    json_t *id = json_object_get(message, "id");
    gpointer key = GINT_TO_POINTER((gint)json_integer_value(id));
    QmpCall *call;

    if (error) {
        log_warning("vm-qmp", "%s: not QMP: %s", self->name, error);
    } else if (json_object_get(message, "QMP")) {
        qmp_client_call(self, "qmp_capabilities", NULL, client_negotiated,
                        self);
    } else if (event) {
        client_event(self, event, message);
    } else if (json_is_integer(id) &&
               (call = g_hash_table_lookup(self->calls, key))) {
        QmpCall found = *call;

        g_hash_table_remove(self->calls, key);
        found.func(found.opaque, json_object_get(message, "return"));
    }
}

static void client_io(void *opaque, uint32_t events)
{
    QmpClient *self = opaque;
    char buffer[16384];
    ssize_t n;

    if (events & EPOLLOUT) {
        client_flush(self);
    }
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
        return;
    }
    n = recv(self->fd, buffer, sizeof(buffer), MSG_DONTWAIT);
    if (n > 0) {
        json_framer_feed(&self->framer, buffer, (size_t)n, client_message,
                         self);
    } else if (n == 0) {
        client_close(self, "the monitor closed it");
    } else if (errno != EAGAIN && errno != EINTR) {
        client_close(self, g_strerror(errno));
    }
}

static void client_connected(void *opaque, int fd, const char *why)
{
    QmpClient *self = opaque;

    self->fd = fd;
    if (fd < 0) {
        client_retry(self, "no monitor there yet", why);
        return;
    }
    loop_watch_add(&self->watch, fd, EPOLLIN, client_io, self);
    client_update(self);
    loop_timer_set(&self->timer, ANSWER_US);
}

static void client_timeout(void *opaque)
{
    QmpClient *self = opaque;

    if (self->fd < 0) {
        connector_start(&self->connector);
    } else {
        client_complain(self, "the monitor does not answer",
                        "it has one client at a time, so give the VM one more "
                        "for us");
    }
}

QmpClient *qmp_client_new(Address *address, const char *name,
                          const QmpClientHandlers *handlers, void *opaque)
{
    QmpClient *self = g_new0(QmpClient, 1);

    self->address = *address;
    *address = (Address){.fd = -1};
    self->name = name;
    self->handlers = handlers;
    self->opaque = opaque;
    self->fd = -1;
    self->watch = LOOP_WATCH_INIT;
    json_framer_init(&self->framer, MAX_MESSAGE);
    self->output = g_byte_array_new();
    self->calls = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    connector_init(&self->connector, &self->address, client_connected, self);
    loop_timer_open(&self->timer, client_timeout, self);
    connector_start(&self->connector);
    return self;
}

void qmp_client_free(QmpClient *self)
{
    if (!self) {
        return;
    }
    loop_timer_close(&self->timer);
    connector_stop(&self->connector);
    if (self->fd >= 0) {
        loop_watch_remove(&self->watch);
        close(self->fd);
    }
    address_clear(&self->address);
    json_framer_free(&self->framer);
    g_byte_array_unref(self->output);
    g_hash_table_unref(self->calls);
    g_free(self);
}

bool qmp_client_is_ready(const QmpClient *self)
{
    return self->ready;
}

pid_t qmp_client_peer_pid(const QmpClient *self)
{
    struct ucred peer;
    socklen_t length = sizeof(peer);

    if (self->fd < 0 || self->address.type != ADDRESS_UNIX ||
        getsockopt(self->fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0) {
        return 0;
    }
    return peer.pid;
}
