/* SPDX-License-Identifier: BSD-2-Clause */
#include "wire/json-dump.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* "-9223372036854775808" */
#define INTEGER_MAX 20

/* g_string_append_len(), here where there is room: most pieces are short. */
static inline void dump_put(GString *out, const char *data, size_t n)
{
    if (out->allocated_len - out->len <= n) {
        g_string_append_len(out, data, (gssize)n);
        return;
    }
    memcpy(out->str + out->len, data, n);
    out->len += n;
    out->str[out->len] = '\0';
}

static void dump_by_jansson(GString *out, json_t *value)
{
    char *text = json_dumps(value, JSON_ENSURE_ASCII | JSON_ENCODE_ANY);

    g_string_append(out, text ? text : "null");
    free(text);
}

/* Is it written as it is? jansson escapes what is none of these. */
static bool dump_is_plain(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] < ' ' || text[i] == '"' || text[i] == '\\' ||
            text[i] == '\x7f') {
            return false;
        }
    }
    return true;
}

static void dump_text(GString *out, const char *text, size_t len)
{
    if (dump_is_plain(text, len)) {
        dump_put(out, "\"", 1);
        dump_put(out, text, len);
        dump_put(out, "\"", 1);
    } else {
        json_auto_t *value = json_stringn_nocheck(text, len);

        dump_by_jansson(out, value);
    }
}

static void dump_integer(GString *out, json_int_t value)
{
    char digits[INTEGER_MAX];
    unsigned long long rest =
        value < 0 ? -(unsigned long long)value : (unsigned long long)value;
    char *at = digits + sizeof(digits);

    do {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0) {
        *--at = '-';
    }
    dump_put(out, at, (size_t)(digits + sizeof(digits) - at));
}

static void dump_array(GString *out, json_t *array)
{
    json_t *value;
    size_t i;

    g_string_append_c(out, '[');
    json_array_foreach (array, i, value) {
        if (i > 0) {
            dump_put(out, ", ", 2);
        }
        json_dump(out, value);
    }
    g_string_append_c(out, ']');
}

static void dump_object(GString *out, json_t *object)
{
    const char *key;
    json_t *value;
    size_t len, comma = 0;

    g_string_append_c(out, '{');
    json_object_keylen_foreach (object, key, len, value) {
        dump_put(out, ", ", comma);
        dump_text(out, key, len);
        dump_put(out, ": ", 2);
        json_dump(out, value);
        comma = 2;
    }
    g_string_append_c(out, '}');
}

void json_dump(GString *out, json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        dump_object(out, value);
        break;
    case JSON_ARRAY:
        dump_array(out, value);
        break;
    case JSON_STRING:
        dump_text(out, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER:
        dump_integer(out, json_integer_value(value));
        break;
    case JSON_TRUE:
        dump_put(out, "true", strlen("true"));
        break;
    case JSON_FALSE:
        dump_put(out, "false", strlen("false"));
        break;
    case JSON_NULL:
        dump_put(out, "null", strlen("null"));
        break;
    case JSON_REAL:
        dump_by_jansson(out, value);
        break;
    }
}
