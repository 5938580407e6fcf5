/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/qmp-session.h"

#include "base/error.h"
#include "base/version.h"
#include "monitor/command.h"
#include "wire/json-dump.h"
#include "wire/json-framer.h"

#include <stdlib.h>
#include <string.h>

struct QmpSession {
    JsonFramer framer;
    GString *out; /* its owner's */
    QmpSessionAppended *appended;
    void *opaque;
    bool pretty;
    bool negotiated;
    bool oob; /* the client has enabled out-of-band execution */
};

typedef struct QmpRequest {
    const char *name;
    json_t *args; /* borrowed, may be NULL */
    bool oob;
    bool cut; /* there is a NUL in the name: no command has one */
} QmpRequest;

json_t *qmp_version(void)
{
    return json_pack("{s:{s:i, s:i, s:i}, s:s}", "qemu", "micro",
                     TAPFERRY_QEMU_MICRO, "minor", TAPFERRY_QEMU_MINOR, "major",
                     TAPFERRY_QEMU_MAJOR, "package",
                     "tapferry " TAPFERRY_VERSION);
}

static void qmp_session_send(QmpSession *session, json_t *message)
{
    if (session->pretty) {
        char *text = json_dumps(message, JSON_ENSURE_ASCII | JSON_INDENT(4));

        g_string_append(session->out, text);
        free(text);
    } else {
        json_dump(session->out, message);
    }
    g_string_append(session->out, "\r\n");
    session->appended(session->opaque);
}

static void qmp_session_send_error(QmpSession *session, json_t *id,
                                   const GError *error)
{
    g_autofree char *desc = g_utf8_make_valid(error->message, -1);
    json_auto_t *reply = json_object();

    if (id) {
        json_object_set(reply, "id", id);
    }
    json_object_set_new(
        reply, "error",
        json_pack("{s:s, s:s}", "class", tf_error_class(error), "desc", desc));
    qmp_session_send(session, reply);
}

/* Takes @result. */
static void qmp_session_send_return(QmpSession *session, json_t *id,
                                    json_t *result)
{
    json_auto_t *reply = json_object();

    json_object_set_new(reply, "return", result);
    if (id) {
        json_object_set(reply, "id", id);
    }
    qmp_session_send(session, reply);
}

/* Takes a request apart. */
static bool qmp_session_parse(const QmpSession *session, json_t *value,
                              QmpRequest *request, GError **errp)
{
    const char *key;
    json_t *member;

    json_object_foreach (value, key, member) {
        bool oob = session->oob && strcmp(key, "exec-oob") == 0;

        if (oob || strcmp(key, "execute") == 0) {
            if (!json_is_string(member)) {
                return tf_error_set(
                    errp, "QMP input member '%s' must be a string", key);
            }
            if (request->name) {
                return tf_error_set(errp, "QMP input member 'execute' "
                                          "clashes with 'exec-oob'");
            }
            request->oob = oob;
            request->name = json_string_value(member);
            request->cut = strlen(request->name) != json_string_length(member);
        } else if (strcmp(key, "arguments") == 0) {
            if (!json_is_object(member)) {
                return tf_error_set(
                    errp, "QMP input member 'arguments' must be an object");
            }
            request->args = member;
        } else if (strcmp(key, "id") != 0) {
            return tf_error_set(errp, "QMP input member '%s' is unexpected",
                                key);
        }
    }
    if (!request->name) {
        tf_error_set(errp, "QMP input lacks member 'execute'");
    }
    return request->name != NULL;
}

static bool qmp_session_refuse(GError **errp, const char *why)
{
    g_set_error_literal(errp, TF_ERROR, TF_ERROR_COMMAND_NOT_FOUND, why);
    return false;
}

static bool qmp_session_negotiate(QmpSession *session, json_t *args,
                                  GError **errp)
{
    const Command *command = command_find("qmp_capabilities");
    bool oob = false;
    size_t i;
    json_t *word;

    if (!command_check(command, args, PROP_SYNTAX_JSON, errp)) {
        return false;
    }
    json_array_foreach (json_object_get(args, "enable"), i, word) {
        if (!json_is_string(word)) {
            return tf_error_set(errp,
                                "Invalid parameter type for 'enable[%zu]', "
                                "expected: string",
                                i);
        }
        if (strcmp(json_string_value(word), "oob") != 0) {
            /* A list's members have no name, and QEMU says so. */
            return tf_error_set(errp,
                                "Parameter 'null' does not accept value '%s'",
                                json_string_value(word));
        }
        oob = true;
    }
    if (session->negotiated) {
        return qmp_session_refuse(errp, "Capabilities negotiation is already "
                                        "complete, command ignored");
    }
    session->negotiated = true;
    session->oob = oob;
    return true;
}

static json_t *qmp_session_execute(QmpSession *session,
                                   const QmpRequest *request, GError **errp)
{
    if (!request->cut && !request->oob &&
        g_strcmp0(request->name, "qmp_capabilities") == 0) {
        return qmp_session_negotiate(session, request->args, errp)
                   ? json_object()
                   : NULL;
    }
    if (!session->negotiated) {
        qmp_session_refuse(errp, "Expecting capabilities negotiation with "
                                 "'qmp_capabilities'");
        return NULL;
    }
    if (request->cut) {
        g_set_error(errp, TF_ERROR, TF_ERROR_COMMAND_NOT_FOUND,
                    "The command %s has not been found", request->name);
        return NULL;
    }
    if (request->oob && command_find(request->name)) {
        tf_error_set(errp, "The command %s does not support OOB",
                     request->name);
        return NULL;
    }
    return command_execute(request->name, request->args, PROP_SYNTAX_JSON,
                           errp);
}

static void qmp_session_take(void *opaque, json_t *value, const char *why)
{
    QmpSession *session = opaque;
    QmpRequest request = {0};
    g_autoptr(GError) error = NULL;
    json_t *id = json_object_get(value, "id");
    json_t *result = NULL;

    if (!value) {
        tf_error_set(&error, "%s", why);
    } else if (!json_is_object(value)) {
        tf_error_set(&error, "QMP input must be a JSON object");
    } else if (qmp_session_parse(session, value, &request, &error)) {
        result = qmp_session_execute(session, &request, &error);
    }
    if (!result && !error) {
        tf_error_set(&error, "The command gave no result");
    }
    if (result) {
        qmp_session_send_return(session, id, result);
    } else {
        qmp_session_send_error(session, id, error);
    }
}

QmpSession *qmp_session_new(bool pretty, GString *out,
                            QmpSessionAppended *appended, void *opaque)
{
    QmpSession *session = g_new0(QmpSession, 1);
    json_auto_t *greeting = json_pack("{s:{s:o, s:[s]}}", "QMP", "version",
                                      qmp_version(), "capabilities", "oob");

    session->pretty = pretty;
    session->out = out;
    session->appended = appended;
    session->opaque = opaque;
    json_framer_init(&session->framer, QMP_SESSION_MAX_REQUEST);
    qmp_session_send(session, greeting);
    return session;
}

void qmp_session_free(QmpSession *session)
{
    json_framer_free(&session->framer);
    g_free(session);
}

void qmp_session_feed(QmpSession *session, const char *data, size_t size)
{
    json_framer_feed(&session->framer, data, size, qmp_session_take, session);
}

void qmp_session_event(QmpSession *session, json_t *event)
{
    if (session->negotiated) {
        qmp_session_send(session, event);
    }
}

json_t *qmp_event_new(const char *name, json_t *data)
{
    int64_t now = g_get_real_time();
    json_t *event =
        json_pack("{s:{s:I, s:I}, s:s}", "timestamp", "seconds",
                  (json_int_t)(now / G_USEC_PER_SEC), "microseconds",
                  (json_int_t)(now % G_USEC_PER_SEC), "event", name);

    if (data) {
        json_object_set(event, "data", data);
    }
    return event;
}
