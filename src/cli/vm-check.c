/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/vm-check.h"

#include "base/address.h"
#include "cli/client.h"

#include <string.h>

/* A QEMU greets at once, unless its monitor serves somebody else. */
#define VM_TIMEOUT_MS 3000

static void vm_explain(const char *address, GError **errp)
{
    int code = (*errp)->domain == CLIENT_ERROR ? (*errp)->code : CLIENT_FAILED;
    g_autofree char *why = g_strdup((*errp)->message);

    g_clear_error(errp);
    switch (code) {
    case CLIENT_ABSENT:
        g_set_error(errp, CLIENT_ERROR, CLIENT_ABSENT,
                    "no VM answers at %s: is it running with -qmp "
                    "%s,server=on,wait=off?",
                    address, address);
        break;
    case CLIENT_SILENT:
        g_set_error(errp, CLIENT_ERROR, CLIENT_SILENT,
                    "the VM's monitor %s is busy: a monitor serves one client "
                    "at a time, give the VM a second -qmp and name that one",
                    address);
        break;
    default:
        g_set_error(errp, CLIENT_ERROR, CLIENT_FAILED,
                    "the VM's monitor %s: %s", address, why);
    }
}

bool vm_check(const char *vm, char **address, bool *running, char **status,
              GError **errp)
{
    g_autofree char *text =
        strchr(vm, ':') ? g_strdup(vm) : g_strconcat("unix:", vm, NULL);
    g_autoptr(Client) client = NULL;
    g_autoptr(GError) error = NULL;
    json_auto_t *reply = NULL;
    g_auto(Address) parsed = {0};
    const char *word;

    if (!address_parse(text, &parsed, &error)) {
        g_set_error(errp, CLIENT_ERROR, CLIENT_FAILED,
                    "--vm %s: %s (give unix:PATH or tcp:HOST:PORT)", vm,
                    error->message);
        return false;
    }
    client = client_open_within(text, VM_TIMEOUT_MS, &error);
    if (client) {
        reply = client_execute(client, "query-status", NULL, &error);
    }
    if (!reply) {
        vm_explain(text, &error);
        g_propagate_error(errp, g_steal_pointer(&error));
        return false;
    }
    word = json_string_value(json_object_get(reply, "status"));
    *running = json_is_true(json_object_get(reply, "running"));
    *status = g_strdup(word ? word : "unknown");
    *address = g_steal_pointer(&text);
    return true;
}
