/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A blocking QMP client, for programs that do one thing after another.
 */
#ifndef TF_CLI_CLIENT_H
#define TF_CLI_CLIENT_H

#include <stdbool.h>

#include <glib.h>
#include <jansson.h>

/* Errors of the connection; those that the daemon returns are TF_ERROR. */
#define CLIENT_ERROR (client_error_quark())

typedef enum ClientError {
    CLIENT_FAILED,
    CLIENT_ABSENT, /* nobody listens */
    CLIENT_SILENT, /* connected, and no answer in time */
} ClientError;

GQuark client_error_quark(void);

typedef struct Client Client;

/* Connects to @socket, a path or "tcp:HOST:PORT", and negotiates. */
Client *client_open(const char *socket, GError **errp);
Client *client_open_within(const char *socket, int timeout_ms, GError **errp);
/* Harmless with NULL. */
void client_close(Client *client);

/* Waits for an event, owned; NULL if none came in time or a signal did. */
bool client_next_event(Client *client, int timeout_ms, json_t **event,
                       GError **errp);

/* Executes a command; @args is borrowed and may be NULL. Returns what the
 * command returns, owned, or NULL and an error with the daemon's class. */
json_t *client_execute(Client *client, const char *command, json_t *args,
                       GError **errp);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Client, client_close)

#endif
