/* SPDX-License-Identifier: BSD-2-Clause */
#include "wire/json-dump.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* "-9223372036854775808" */
#define INTEGER_MAX 20
/* Shared values that are remembered: two in one slot drive each other out. */
#define SHARED_BITS 8
/* 2^64 / phi, rounded to odd: spreads addresses over the high bits. */
#define HASH_FACTOR 0x9e3779b97f4a7c15u

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

/* Where a value's text stands in what is written. */
typedef struct Span {
    const json_t *value; /* NULL: none */
    size_t at, len;
} Span;

typedef struct Dump {
    GString *out;
    Span *shared; /* 1 << SHARED_BITS of them, made with the first */
} Dump;

static void dump_value(Dump *self, json_t *value);

static void dump_array(Dump *self, const json_t *array)
{
    size_t n = json_array_size(array);

    dump_put(self->out, "[", 1);
    for (size_t i = 0; i < n; i++) {
        dump_put(self->out, ", ", i > 0 ? 2 : 0);
        dump_value(self, json_array_get(array, i));
    }
    dump_put(self->out, "]", 1);
}

static void dump_object(Dump *self, json_t *object)
{
    size_t comma = 0;

    dump_put(self->out, "{", 1);
    for (void *iter = json_object_iter(object); iter;
         iter = json_object_iter_next(object, iter)) {
        dump_put(self->out, ", ", comma);
        dump_text(self->out, json_object_iter_key(iter),
                  json_object_iter_key_len(iter));
        dump_put(self->out, ": ", 2);
        dump_value(self, json_object_iter_value(iter));
        comma = 2;
    }
    dump_put(self->out, "}", 1);
}

static void dump_container(Dump *self, json_t *value)
{
    if (json_is_object(value)) {
        dump_object(self, value);
    } else {
        dump_array(self, value);
    }
}

/* It may stand in several places: what is written already is copied. */
static void dump_shared(Dump *self, json_t *value)
{
    size_t at = self->out->len;
    Span *span;

    if (!self->shared) {
        self->shared = g_new0(Span, 1 << SHARED_BITS);
    }
    span = &self->shared[(uintptr_t)value * HASH_FACTOR >> (64 - SHARED_BITS)];
    if (span->value == value) {
        dump_put(self->out, self->out->str + span->at, span->len);
        return;
    }
    dump_container(self, value);
    *span = (Span){value, at, self->out->len - at};
}

static void dump_value(Dump *self, json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
    case JSON_ARRAY:
        if (value->refcount > 1) {
            dump_shared(self, value);
        } else {
            dump_container(self, value);
        }
        break;
    case JSON_STRING:
        dump_text(self->out, json_string_value(value),
                  json_string_length(value));
        break;
    case JSON_INTEGER:
        dump_integer(self->out, json_integer_value(value));
        break;
    case JSON_TRUE:
        dump_put(self->out, "true", strlen("true"));
        break;
    case JSON_FALSE:
        dump_put(self->out, "false", strlen("false"));
        break;
    case JSON_NULL:
        dump_put(self->out, "null", strlen("null"));
        break;
    case JSON_REAL:
        dump_by_jansson(self->out, value);
        break;
    }
}

void json_dump(GString *out, json_t *value)
{
    Dump self = {.out = out};

    dump_value(&self, value);
    g_free(self.shared);
}
