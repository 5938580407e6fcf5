/* SPDX-License-Identifier: BSD-2-Clause */
#include "wire/json-framer.h"

#include "wire/json-string.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Of a stray token this much is repeated in the message. */
#define JSON_FRAMER_MAX_STRAY 64
/* A larger buffer is given back once its value is done. */
#define JSON_FRAMER_KEEP 65536
/* Stands in for a bad token: jansson stops there, and says so. */
#define JSON_FRAMER_BAD "\"\\q\""
#define JSON_FRAMER_BAD_ERROR "invalid escape"

void json_framer_init(JsonFramer *framer, size_t max_size)
{
    *framer = (JsonFramer){.text = g_string_new(NULL), .max_size = max_size};
}

void json_framer_free(JsonFramer *framer)
{
    if (framer->text) {
        g_string_free(framer->text, TRUE);
        framer->text = NULL;
    }
    g_clear_pointer(&framer->why, g_free);
}

void json_framer_reset(JsonFramer *framer)
{
    if (framer->text->allocated_len > JSON_FRAMER_KEEP) {
        g_string_free(framer->text, TRUE);
        framer->text = g_string_new(NULL);
    }
    g_string_truncate(framer->text, 0);
    g_clear_pointer(&framer->why, g_free);
    framer->token = 0;
    framer->tokens = 0;
    framer->braces = 0;
    framer->brackets = 0;
    framer->state = JSON_FRAMER_START;
}

/* QEMU's words for what jansson found. */
static char *json_framer_describe(const JsonFramer *framer,
                                  const json_error_t *error)
{
    const struct {
        const char *jansson, *words;
    } rows[] = {
        {"unexpected token", "expecting value"},
        {"':' expected", "missing : in object pair"},
        {"'}' expected", "expected separator in dict"},
        {"']' expected", "expected separator in list"},
        {"duplicate object key", "duplicate key"},
        {JSON_FRAMER_BAD_ERROR, framer->why},
        {"NUL byte", "NUL in an object's key"},
        {"real number overflow", "number out of range"},
    };
    static const char key[] = "string or '}' expected near '";
    const char *words = "malformed value";
    g_autofree char *text = NULL;

    if (g_str_has_prefix(error->text, key)) {
        words = strchr(",:]}", error->text[strlen(key)])
                    ? "expecting value"
                    : "key is not a string in object";
    }
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (g_str_has_prefix(error->text, rows[i].jansson)) {
            words = rows[i].words;
        }
    }
    text = g_strdup_printf("JSON parse error, %s", words);
    return g_utf8_make_valid(text, -1); /* it may quote half a character */
}

/* The value is complete. */
static void json_framer_finish(JsonFramer *framer, JsonFramerFunc *func,
                               void *opaque)
{
    json_error_t error;
    json_auto_t *value = json_loadb(
        framer->text->str, framer->text->len,
        JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    g_autofree char *why = value ? NULL : json_framer_describe(framer, &error);

    json_framer_reset(framer);
    func(opaque, value, why);
}

/* The token that ends in @c is none. */
static void json_framer_stray(JsonFramer *framer, unsigned char c,
                              JsonFramerFunc *func, void *opaque)
{
    g_autofree char *token = NULL;
    g_autofree char *why = NULL;
    const char *start;

    g_string_append_c(framer->text, (char)c);
    start = framer->text->str + framer->token;
    token =
        g_utf8_make_valid(start, (gssize)strnlen(start, JSON_FRAMER_MAX_STRAY));
    why = g_strdup_printf("JSON parse error, stray '%s'", token);
    json_framer_reset(framer);
    framer->state = JSON_FRAMER_RECOVERY;
    func(opaque, NULL, why);
}

static void json_framer_limit(JsonFramer *framer, const char *what,
                              JsonFramerFunc *func, void *opaque)
{
    g_autofree char *why = g_strdup_printf("JSON %s limit exceeded", what);

    json_framer_reset(framer);
    framer->state = JSON_FRAMER_SKIP_LINE;
    func(opaque, NULL, why);
}

/* A token is complete: is the value? */
static void json_framer_end_token(JsonFramer *framer, JsonFramerFunc *func,
                                  void *opaque)
{
    framer->state = JSON_FRAMER_START;
    framer->tokens++;
    if (framer->braces < 0 || framer->brackets < 0 ||
        (framer->braces == 0 && framer->brackets == 0)) {
        json_framer_finish(framer, func, opaque);
    } else if (framer->braces + framer->brackets > JSON_FRAMER_MAX_NESTING) {
        json_framer_limit(framer, "nesting depth", func, opaque);
    } else if (framer->tokens > JSON_FRAMER_MAX_TOKENS) {
        json_framer_limit(framer, "token count", func, opaque);
    }
}

/* jansson refuses integers that do not fit; as a real they get as far as the
 * check of the property, which words the error. */
static void json_framer_widen(JsonFramer *framer)
{
    errno = 0;
    strtoll(framer->text->str + framer->token, NULL, 10);
    if (errno == ERANGE) {
        g_string_append(framer->text, ".0");
    }
}

static void json_framer_structural(JsonFramer *framer, char c,
                                   JsonFramerFunc *func, void *opaque)
{
    framer->braces += (c == '{') - (c == '}');
    framer->brackets += (c == '[') - (c == ']');
    g_string_append_c(framer->text, c);
    json_framer_end_token(framer, func, opaque);
}

static bool json_framer_is_structural(unsigned char c)
{
    return c && strchr("{}[]:,", c);
}

static void json_framer_start(JsonFramer *framer, unsigned char c,
                              JsonFramerFunc *func, void *opaque)
{
    framer->token = framer->text->len;
    if (c && strchr(" \t\r\n", c)) {
        /* One separates two tokens as well as a gigabyte does. */
        if (framer->token > 0 && framer->text->str[framer->token - 1] != ' ') {
            g_string_append_c(framer->text, ' ');
        }
    } else if (json_framer_is_structural(c)) {
        json_framer_structural(framer, (char)c, func, opaque);
    } else if (c == '"' || c == '\'') {
        framer->quote = (char)c;
        framer->state = JSON_FRAMER_STRING;
        g_string_append_c(framer->text, (char)c);
    } else if (g_ascii_islower(c) || g_ascii_isdigit(c) || c == '-') {
        framer->state = c == '-'             ? JSON_FRAMER_SIGN
                        : c == '0'           ? JSON_FRAMER_ZERO
                        : g_ascii_isdigit(c) ? JSON_FRAMER_DIGITS
                                             : JSON_FRAMER_KEYWORD;
        g_string_append_c(framer->text, (char)c);
    } else {
        json_framer_stray(framer, c, func, opaque);
    }
}

/* Behind an error: the rest of what may have been a token is passed over. */
static void json_framer_recover(JsonFramer *framer, unsigned char c,
                                JsonFramerFunc *func, void *opaque)
{
    if (c == '\n' || c == '\r') {
        framer->state = JSON_FRAMER_START;
    } else if (json_framer_is_structural(c)) {
        framer->state = JSON_FRAMER_START;
        json_framer_start(framer, c, func, opaque);
    } else if ((c < 0x20 && c != '\t') || c >= 0xfe) {
        json_framer_stray(framer, c, func, opaque);
    }
}

/* Puts @token, or what stands for a bad one, in the last token's place. */
static void json_framer_replace(JsonFramer *framer, const char *token,
                                char *why)
{
    g_string_truncate(framer->text, framer->token);
    g_string_append(framer->text, why ? JSON_FRAMER_BAD : token);
    if (framer->why) {
        g_free(why); /* the first is told */
    } else {
        framer->why = why;
    }
}

static void json_framer_convert(JsonFramer *framer)
{
    g_autoptr(GString) strict = g_string_new(NULL);
    char *why = json_string_convert(framer->text->str + framer->token, strict);

    json_framer_replace(framer, strict->str, why);
}

static void json_framer_check_keyword(JsonFramer *framer)
{
    static const char *const keywords[] = {"true", "false", "null", NULL};
    const char *word = framer->text->str + framer->token;

    if (!g_strv_contains(keywords, word)) {
        json_framer_replace(framer, NULL,
                            g_strdup_printf("invalid keyword '%s'", word));
    }
}

static void json_framer_string(JsonFramer *framer, unsigned char c,
                               JsonFramerFunc *func, void *opaque)
{
    bool escaped = framer->state == JSON_FRAMER_ESCAPE;

    if (c < 0x20 || c >= 0xfe) {
        json_framer_stray(framer, c, func, opaque);
        return;
    }
    g_string_append_c(framer->text, (char)c);
    if (!escaped && c == '\\') {
        framer->state = JSON_FRAMER_ESCAPE;
        return;
    }
    framer->state = JSON_FRAMER_STRING;
    if (!escaped && c == (unsigned char)framer->quote) {
        json_framer_convert(framer);
        json_framer_end_token(framer, func, opaque);
    }
}

/* What a number that stands in @state becomes by @c; START: it ended before
 * @c, RECOVERY: @c does not fit. */
static JsonFramerState json_framer_number(JsonFramerState state, char c)
{
    bool digit = g_ascii_isdigit(c);

    switch (state) {
    case JSON_FRAMER_SIGN:
        return c == '0' ? JSON_FRAMER_ZERO
               : digit  ? JSON_FRAMER_DIGITS
                        : JSON_FRAMER_RECOVERY;
    case JSON_FRAMER_ZERO:
    case JSON_FRAMER_DIGITS:
        if (digit) {
            return state == JSON_FRAMER_ZERO ? JSON_FRAMER_RECOVERY : state;
        }
        return c == '.'               ? JSON_FRAMER_POINT
               : c == 'e' || c == 'E' ? JSON_FRAMER_E
                                      : JSON_FRAMER_START;
    case JSON_FRAMER_POINT:
        return digit ? JSON_FRAMER_FRACTION : JSON_FRAMER_RECOVERY;
    case JSON_FRAMER_FRACTION:
        return digit                  ? state
               : c == 'e' || c == 'E' ? JSON_FRAMER_E
                                      : JSON_FRAMER_START;
    case JSON_FRAMER_E:
        return digit                  ? JSON_FRAMER_EXPONENT
               : c == '+' || c == '-' ? JSON_FRAMER_E_SIGN
                                      : JSON_FRAMER_RECOVERY;
    case JSON_FRAMER_E_SIGN:
        return digit ? JSON_FRAMER_EXPONENT : JSON_FRAMER_RECOVERY;
    case JSON_FRAMER_EXPONENT:
        return digit ? state : JSON_FRAMER_START;
    case JSON_FRAMER_KEYWORD:
        return g_ascii_islower(c) ? state : JSON_FRAMER_START;
    case JSON_FRAMER_START:
    case JSON_FRAMER_STRING:
    case JSON_FRAMER_ESCAPE:
    case JSON_FRAMER_RECOVERY:
    case JSON_FRAMER_SKIP_LINE:
        break;
    }
    g_assert_not_reached();
}

/* A token that has no end of its own: @c belongs to it or ends it. */
static void json_framer_open_token(JsonFramer *framer, unsigned char c,
                                   JsonFramerFunc *func, void *opaque)
{
    JsonFramerState state = framer->state;
    JsonFramerState next = json_framer_number(state, (char)c);

    if (next == JSON_FRAMER_RECOVERY) {
        json_framer_stray(framer, c, func, opaque);
    } else if (next == JSON_FRAMER_START) {
        if (state == JSON_FRAMER_DIGITS) {
            json_framer_widen(framer);
        } else if (state == JSON_FRAMER_KEYWORD) {
            json_framer_check_keyword(framer);
        }
        json_framer_end_token(framer, func, opaque);
        if (framer->state == JSON_FRAMER_START) {
            json_framer_start(framer, c, func, opaque);
        }
    } else {
        framer->state = next;
        g_string_append_c(framer->text, (char)c);
    }
}

static void json_framer_byte(JsonFramer *framer, unsigned char c,
                             JsonFramerFunc *func, void *opaque)
{
    switch (framer->state) {
    case JSON_FRAMER_START:
        json_framer_start(framer, c, func, opaque);
        break;
    case JSON_FRAMER_STRING:
    case JSON_FRAMER_ESCAPE:
        json_framer_string(framer, c, func, opaque);
        break;
    case JSON_FRAMER_RECOVERY:
        json_framer_recover(framer, c, func, opaque);
        break;
    case JSON_FRAMER_SKIP_LINE:
        if (c == '\n' || c >= 0xfe) {
            framer->state = JSON_FRAMER_START;
        }
        break;
    case JSON_FRAMER_KEYWORD:
    case JSON_FRAMER_SIGN:
    case JSON_FRAMER_ZERO:
    case JSON_FRAMER_DIGITS:
    case JSON_FRAMER_POINT:
    case JSON_FRAMER_FRACTION:
    case JSON_FRAMER_E:
    case JSON_FRAMER_E_SIGN:
    case JSON_FRAMER_EXPONENT:
        json_framer_open_token(framer, c, func, opaque);
        break;
    }
}

void json_framer_feed(JsonFramer *framer, const char *data, size_t size,
                      JsonFramerFunc *func, void *opaque)
{
    for (size_t i = 0; i < size; i++) {
        json_framer_byte(framer, (unsigned char)data[i], func, opaque);
        if (framer->text->len > framer->max_size) {
            json_framer_limit(framer, "token size", func, opaque);
        }
    }
}
