/* SPDX-License-Identifier: BSD-2-Clause */
/* tapferry qmp COMMAND [KEY=VALUE...] */
#include "cli/qmp.h"

#include "base/error.h"
#include "cli/cli.h"
#include "cli/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* JSON if it reads as JSON, else a string; so is the chardev's type null, while
 * there is no argument that JSON's null would do for. */
static json_t *qmp_parse_value(const char *text)
{
    json_t *value =
        json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);

    if (value && !json_is_null(value)) {
        return value;
    }
    json_decref(value);
    return json_string(text);
}

/* Puts @value (taken) under a dotted key: a.b=1 is {"a": {"b": 1}}. */
static bool qmp_put(json_t *object, const char *key, json_t *value,
                    GError **errp)
{
    g_auto(GStrv) parts = g_strsplit(key, ".", -1);
    json_t *held = value;
    guint i;

    for (i = 0; parts[i] && parts[i + 1]; i++) {
        json_t *inner = json_object_get(object, parts[i]);

        if (!inner) {
            inner = json_object();
            json_object_set_new(object, parts[i], inner);
        }
        if (!json_is_object(inner)) {
            json_decref(held);
            g_set_error(errp, CLIENT_ERROR, 0, "'%s': '%s' has a value already",
                        key, parts[i]);
            return false;
        }
        object = inner;
    }
    if (!parts[i] || json_object_set_new(object, parts[i], held) < 0) {
        g_set_error(errp, CLIENT_ERROR, 0,
                    "'%s': give a key in front of '=' and UTF-8 behind it",
                    key);
        return false;
    }
    return true;
}

bool qmp_parse_args(json_t *args, char **words, GError **errp)
{
    for (; *words; words++) {
        const char *equals = strchr(*words, '=');
        g_autofree char *key = NULL;

        if (!equals || equals == *words) {
            g_set_error(errp, CLIENT_ERROR, 0,
                        "'%s': give arguments as KEY=VALUE", *words);
            return false;
        }
        key = g_strndup(*words, (gsize)(equals - *words));
        if (!qmp_put(args, key, qmp_parse_value(equals + 1), errp)) {
            return false;
        }
    }
    return true;
}

bool cli_qmp(Cli *cli, int argc, char **argv, GError **errp)
{
    g_auto(GStrv) words = cli_parse(
        cli, argc, argv, "COMMAND [KEY=VALUE...]",
        "Executes a QMP command and prints what it returns. A value "
        "is JSON if it\nreads as JSON (but null), else a string; dotted keys "
        "make nested objects.",
        NULL, errp);
    g_autoptr(Client) client = NULL;
    json_auto_t *args = json_object();
    json_auto_t *result = NULL;
    char *text;

    if (!words) {
        return false;
    }
    if (!words[0]) {
        g_set_error(errp, CLIENT_ERROR, 0,
                    "qmp: name a command (query-commands lists them)");
        return false;
    }
    if (!qmp_parse_args(args, words + 1, errp)) {
        return false;
    }
    client = client_open(cli->socket, errp);
    if (!client) {
        return false;
    }
    result = client_execute(client, words[0], args, errp);
    if (!result) {
        return false;
    }
    text = json_dumps(result, JSON_INDENT(2) | JSON_ENCODE_ANY);
    printf("%s\n", text);
    free(text);
    return true;
}
