/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/client.h"

#include "base/address.h"
#include "base/error.h"
#include "wire/json-framer.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A daemon that says nothing for so long is not one. */
#define CLIENT_TIMEOUT_MS 30000
/* Events that nobody asked for are kept up to here. */
#define CLIENT_EVENTS_MAX 1024
#define CLIENT_MAX_REPLY (64 << 20)

struct Client {
    int fd;
    JsonFramer framer;
    int timeout_ms;
    GQueue messages; /* json_t *, not yet looked at */
    GQueue events;   /* json_t *, came while something else was awaited */
    char *garbage;   /* what came was no JSON */
};

G_DEFINE_QUARK(tapferry - client - error, client_error)

static bool client_fail(GError **errp, const char *format, ...)
    G_GNUC_PRINTF(2, 3);

static bool client_fail(GError **errp, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    if (errp) {
        *errp = g_error_new_valist(CLIENT_ERROR, 0, format, ap);
    }
    va_end(ap);
    return false;
}

/* Waits until the socket is ready for @events. */
static bool client_wait(Client *client, short events, GError **errp)
{
    struct pollfd pfd = {.fd = client->fd, .events = events};
    int n;

    do {
        n = poll(&pfd, 1, client->timeout_ms);
    } while (n < 0 && errno == EINTR);
    if (n > 0) {
        return true;
    }
    g_set_error(errp, CLIENT_ERROR, CLIENT_SILENT,
                "the daemon does not answer");
    return false;
}

static void client_take(void *opaque, json_t *value, const char *error)
{
    Client *client = opaque;

    if (value) {
        g_queue_push_tail(&client->messages, json_incref(value));
    } else if (!client->garbage) {
        client->garbage = g_strdup(error);
    }
}

/* Takes what has come; there is something. */
static bool client_read(Client *client, GError **errp)
{
    char buffer[65536];
    ssize_t n = read(client->fd, buffer, sizeof(buffer));

    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        return client_fail(errp, "the daemon closed the connection");
    }
    if (n > 0) {
        json_framer_feed(&client->framer, buffer, (size_t)n, client_take,
                         client);
    }
    return !client->garbage ||
           client_fail(errp, "the daemon does not speak QMP (%s)",
                       client->garbage);
}

/* Returns the next message, owned. */
static json_t *client_receive(Client *client, GError **errp)
{
    while (g_queue_is_empty(&client->messages)) {
        if (!client_wait(client, POLLIN, errp) || !client_read(client, errp)) {
            return NULL;
        }
    }
    return g_queue_pop_head(&client->messages);
}

static void client_keep_event(Client *client, json_t *message)
{
    if (json_object_get(message, "event") &&
        g_queue_get_length(&client->events) < CLIENT_EVENTS_MAX) {
        g_queue_push_tail(&client->events, json_incref(message));
    }
}

bool client_next_event(Client *client, int timeout_ms, json_t **event,
                       GError **errp)
{
    struct pollfd pfd = {.fd = client->fd, .events = POLLIN};
    json_t *message;

    if (g_queue_is_empty(&client->events) && poll(&pfd, 1, timeout_ms) > 0 &&
        !client_read(client, errp)) {
        return false;
    }
    while ((message = g_queue_pop_head(&client->messages))) {
        client_keep_event(client, message);
        json_decref(message);
    }
    *event = g_queue_pop_head(&client->events);
    return true;
}

static bool client_send(Client *client, json_t *message, GError **errp)
{
    char *text = json_dumps(message, JSON_COMPACT);
    size_t size = text ? strlen(text) + 1 : 0;
    size_t sent = 0;
    bool ok = text || client_fail(errp, "the arguments are not UTF-8");

    if (text) {
        text[size - 1] = '\n'; /* for peers that read line by line */
    }
    while (ok && sent < size) {
        ssize_t n = send(client->fd, text + sent, size - sent, MSG_NOSIGNAL);

        if (n > 0) {
            sent += (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            ok = client_wait(client, POLLOUT, errp);
        } else if (n < 0 && errno != EINTR) {
            ok = client_fail(errp, "the daemon closed the connection");
        }
    }
    free(text);
    return ok;
}

/* The daemon's own error, with its class. */
static void client_set_error(json_t *error, GError **errp)
{
    static const TfError codes[] = {
        TF_ERROR_GENERIC, TF_ERROR_COMMAND_NOT_FOUND,
        TF_ERROR_DEVICE_NOT_ACTIVE, TF_ERROR_DEVICE_NOT_FOUND};
    const char *class = json_string_value(json_object_get(error, "class"));
    const char *desc = json_string_value(json_object_get(error, "desc"));
    GError *made = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(codes); i++) {
        g_clear_error(&made);
        made = g_error_new(TF_ERROR, (int)codes[i], "%s", desc ? desc : "");
        if (g_strcmp0(class, tf_error_class(made)) == 0) {
            break;
        }
    }
    g_propagate_error(errp, made);
}

json_t *client_execute(Client *client, const char *command, json_t *args,
                       GError **errp)
{
    json_auto_t *request = json_object();

    json_object_set_new(request, "execute", json_string(command));
    if (args) {
        json_object_set(request, "arguments", args);
    }
    if (!client_send(client, request, errp)) {
        return NULL;
    }
    for (;;) {
        json_auto_t *reply = client_receive(client, errp);
        json_t *result = json_object_get(reply, "return");
        json_t *error = json_object_get(reply, "error");

        if (result) {
            return json_incref(result);
        }
        if (error) {
            client_set_error(error, errp);
            return NULL;
        }
        if (!reply) {
            return NULL;
        }
        client_keep_event(client, reply);
    }
}

static int client_connect(const char *socket, unsigned timeout_ms,
                          GError **errp)
{
    g_autofree char *text = strchr(socket, ':')
                                ? g_strdup(socket)
                                : g_strconcat("unix:", socket, NULL);
    g_autoptr(GError) error = NULL;
    g_auto(Address) address = {0};
    int fd = -1;

    if (address_parse(text, &address, &error)) {
        fd = address_connect_sync(&address, timeout_ms, &error);
    }
    if (fd < 0) {
        g_set_error(errp, CLIENT_ERROR, CLIENT_ABSENT,
                    "%s: is tapferryd running with -qmp "
                    "%s,server=on,wait=off?",
                    error->message, text);
    }
    return fd;
}

static bool client_negotiate(Client *client, GError **errp)
{
    json_auto_t *greeting = client_receive(client, errp);
    json_auto_t *result = NULL;

    if (!greeting) {
        return false;
    }
    if (!json_object_get(greeting, "QMP")) {
        return client_fail(errp, "the daemon does not speak QMP");
    }
    result = client_execute(client, "qmp_capabilities", NULL, errp);
    return result != NULL;
}

Client *client_open(const char *socket, GError **errp)
{
    return client_open_within(socket, CLIENT_TIMEOUT_MS, errp);
}

Client *client_open_within(const char *socket, int timeout_ms, GError **errp)
{
    int fd = client_connect(socket, (unsigned)timeout_ms, errp);
    Client *client;

    if (fd < 0) {
        return NULL;
    }
    client = g_new0(Client, 1);
    client->fd = fd;
    client->timeout_ms = timeout_ms;
    g_queue_init(&client->messages);
    g_queue_init(&client->events);
    json_framer_init(&client->framer, CLIENT_MAX_REPLY);
    if (!client_negotiate(client, errp)) {
        client_close(client);
        return NULL;
    }
    return client;
}

void client_close(Client *client)
{
    json_t *message;

    if (!client) {
        return;
    }
    close(client->fd);
    while ((message = g_queue_pop_head(&client->messages)) ||
           (message = g_queue_pop_head(&client->events))) {
        json_decref(message);
    }
    json_framer_free(&client->framer);
    g_free(client->garbage);
    g_free(client);
}
