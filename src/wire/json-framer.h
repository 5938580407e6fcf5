/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finds the end of each top-level JSON value in a byte stream and parses it;
 * a state machine without I/O, for QMP on either side.
 *
 * The lexer is compatible with QEMU's, so that both resume at the same place
 * after an error: single-quoted strings are accepted, values need no separator,
 * a duplicate key is an error, and so are a byte that begins no token, a
 * control character in a string, and the bytes 0xFE and 0xFF, which reset the
 * parser. Size and nesting are bounded: a hostile stream gets an error, the
 * rest of its line is skipped, and memory stays small.
 *
 * An integer beyond 64 bits signed arrives as a real.
 */
#ifndef TF_WIRE_JSON_FRAMER_H
#define TF_WIRE_JSON_FRAMER_H

#include <stdbool.h>
#include <stddef.h>

#include <glib.h>
#include <jansson.h>

#define JSON_FRAMER_MAX_NESTING 1024
/* Values and brackets in one value: bounds what parsing allocates. */
#define JSON_FRAMER_MAX_TOKENS 200000

typedef enum JsonFramerState {
    JSON_FRAMER_START, /* between two tokens */
    JSON_FRAMER_STRING,
    JSON_FRAMER_ESCAPE, /* behind a backslash */
    JSON_FRAMER_KEYWORD,
    JSON_FRAMER_SIGN, /* behind a number's minus */
    JSON_FRAMER_ZERO, /* behind a leading zero */
    JSON_FRAMER_DIGITS,
    JSON_FRAMER_POINT, /* behind the point: a digit must follow */
    JSON_FRAMER_FRACTION,
    JSON_FRAMER_E, /* behind the e: a sign or a digit must follow */
    JSON_FRAMER_E_SIGN,
    JSON_FRAMER_EXPONENT,
    JSON_FRAMER_RECOVERY,  /* behind an error, up to a line's end or a
                              bracket, ':' or ',' */
    JSON_FRAMER_SKIP_LINE, /* behind too much, up to the line's end */
} JsonFramerState;

typedef struct JsonFramer {
    GString *text;   /* of the unfinished value; its whole tokens in strict
                        JSON */
    char *why;       /* what is wrong with its first bad token, or NULL */
    size_t token;    /* where in @text the unfinished token begins */
    size_t max_size; /* bytes of one value */
    unsigned tokens;
    int braces, brackets; /* open ones */
    JsonFramerState state;
    char quote; /* the open quote */
} JsonFramer;

/* @value is borrowed; NULL means an error, described by @error. */
typedef void JsonFramerFunc(void *opaque, json_t *value, const char *error);

void json_framer_init(JsonFramer *framer, size_t max_size);
void json_framer_free(JsonFramer *framer);
/* Discards an incomplete value, for a new connection. */
void json_framer_reset(JsonFramer *framer);

/* Feeds @size bytes; @func is called for each value that they complete. It
 * must not free the framer. */
void json_framer_feed(JsonFramer *framer, const char *data, size_t size,
                      JsonFramerFunc *func, void *opaque);

#endif
