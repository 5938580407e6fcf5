/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A blocking QMP client, for programs that do one thing after another.
 */
#ifndef TF_CLI_CLIENT_H
#define TF_CLI_CLIENT_H

#include <glib.h>
#include <jansson.h>

/* Errors of the connection; those that the daemon returns are TF_ERROR. */
#define CLIENT_ERROR (client_error_quark())

GQuark client_error_quark(void);

typedef struct Client Client;

/* Connects to @socket, a path or "tcp:HOST:PORT", and negotiates. */
Client *client_open(const char *socket, GError **errp);
void client_close(Client *client);

/* Executes a command; @args is borrowed and may be NULL. Returns what the
 * command returns, owned, or NULL and an error with the daemon's class. */
json_t *client_execute(Client *client, const char *command, json_t *args,
                       GError **errp);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Client, client_close)

#endif
