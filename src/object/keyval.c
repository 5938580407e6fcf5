/* SPDX-License-Identifier: BSD-2-Clause */
#include "object/keyval.h"

#include "base/error.h"

#include <string.h>

static json_t *keyval_parse_json(const char *text, GError **errp)
{
    json_error_t error;
    json_t *props = json_loads(text, JSON_REJECT_DUPLICATES, &error);

    if (!props) {
        /* The text near the error may be cut inside a character. */
        g_autofree char *why = g_utf8_make_valid(error.text, -1);

        tf_error_set(errp, "JSON parse error, %s (column %d)", why,
                     error.column);
    }
    return props;
}

/* Takes one value up to a single comma off @text, undoubling commas. */
static const char *keyval_next_value(const char *text, GString *value)
{
    while (*text) {
        if (*text == ',') {
            if (text[1] != ',') {
                return text + 1;
            }
            text++;
        }
        g_string_append_c(value, *text++);
    }
    return text;
}

static bool keyval_put(json_t *props, const char *key, const char *value,
                       GError **errp)
{
    /* A path need not be UTF-8, so the value is taken as it is. */
    if (!*key ||
        json_object_set_new(props, key, json_string_nocheck(value)) < 0) {
        g_autofree char *valid = g_utf8_make_valid(key, -1);

        return tf_error_set(errp, "Invalid parameter '%s'", valid);
    }
    return true;
}

/* Takes one "key=value", "key" or the leading implied value off @text. */
static const char *keyval_parse_one(json_t *props, const char *text,
                                    const char *implied, GError **errp)
{
    size_t length = strcspn(text, "=,");
    g_autofree char *key = g_strndup(text, length);
    g_autoptr(GString) value = g_string_new(NULL);
    const char *next;

    if (text[length] == '=') {
        next = keyval_next_value(text + length + 1, value);
    } else if (implied) {
        next = keyval_next_value(text, value);
        g_free(key);
        key = g_strdup(implied);
    } else {
        bool nowait = strcmp(key, "nowait") == 0;

        next = keyval_next_value(text, value);
        g_string_assign(value, nowait ? "off" : "on");
        if (nowait) {
            g_free(key);
            key = g_strdup("wait");
        }
    }
    return keyval_put(props, key, value->str, errp) ? next : NULL;
}

json_t *keyval_parse(const char *text, const char *implied,
                     PropertySyntax *syntax, GError **errp)
{
    json_t *props;

    if (text[0] == '{') {
        *syntax = PROP_SYNTAX_JSON;
        return keyval_parse_json(text, errp);
    }
    *syntax = PROP_SYNTAX_TEXT;
    props = json_object();
    while (*text) {
        text = keyval_parse_one(props, text, implied, errp);
        if (!text) {
            json_decref(props);
            return NULL;
        }
        implied = NULL;
    }
    return props;
}
