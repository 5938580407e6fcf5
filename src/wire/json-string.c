/* SPDX-License-Identifier: BSD-2-Clause */
#include "wire/json-string.h"

#include <stdbool.h>
#include <string.h>

#define JSON_STRING_NO_CHARACTER G_MAXUINT32
/* "\u" and four digits. */
#define JSON_STRING_UNICODE 6

static bool json_string_is_character(gunichar c)
{
    return g_unichar_validate(c) && (c & 0xfffe) != 0xfffe &&
           (c < 0xfdd0 || c > 0xfdef);
}

/* Four hexadecimal digits behind @p. */
static gunichar json_string_hex(const char *p)
{
    gunichar c = 0;

    for (int i = 0; i < 4; i++) {
        if (!g_ascii_isxdigit(p[i])) {
            return JSON_STRING_NO_CHARACTER;
        }
        c = c << 4 | (gunichar)g_ascii_xdigit_value(p[i]);
    }
    return c;
}

/* Reads the \u escape at @p, or the two of a surrogate pair. */
static gunichar json_string_unicode(const char *p, const char **end)
{
    size_t left = strnlen(p, JSON_STRING_UNICODE);
    gunichar c = json_string_hex(p + 2);

    *end = p + left;
    if (left == JSON_STRING_UNICODE && c >= 0xd800 && c <= 0xdbff &&
        (*end)[0] == '\\' && (*end)[1] == 'u') {
        gunichar low = json_string_hex(*end + 2);

        if (low >= 0xdc00 && low <= 0xdfff) {
            *end += JSON_STRING_UNICODE;
            c = 0x10000 + ((c & 0x3ff) << 10) + (low & 0x3ff);
        }
    }
    return c;
}

/* Reads the escape at @p. */
static char *json_string_escape(const char *p, const char **end, gunichar *c)
{
    static const char letters[] = "\"'\\/bfnrt", values[] = "\"'\\/\b\f\n\r\t";
    const char *letter = strchr(letters, p[1]);

    if (p[1] == 'u') {
        *c = json_string_unicode(p, end);
        return json_string_is_character(*c)
                   ? NULL
                   : g_strdup_printf("%.*s is not a valid Unicode character",
                                     (int)(*end - p), p);
    }
    if (!letter || !*letter) {
        return g_strdup("invalid escape sequence in string");
    }
    *end = p + 2;
    *c = (guchar)values[letter - letters];
    return NULL;
}

/* Reads one character, as it stands or escaped. */
static char *json_string_next(const char *p, const char **end, gunichar *c)
{
    if (*p == '\\') {
        return json_string_escape(p, end, c);
    }
    if (memcmp(p, "\xc0\x80", 2) == 0) { /* "modified UTF-8" for a NUL */
        *c = 0;
        *end = p + 2;
        return NULL;
    }
    *c = g_utf8_get_char_validated(p, -1);
    if (!json_string_is_character(*c)) {
        return g_strdup("invalid UTF-8 sequence in string");
    }
    *end = g_utf8_next_char(p);
    return NULL;
}

static void json_string_put(GString *out, gunichar c)
{
    if (c < 0x20) {
        g_string_append_printf(out, "\\u%04x", c);
        return;
    }
    if (c == '"' || c == '\\') {
        g_string_append_c(out, '\\');
    }
    g_string_append_unichar(out, c);
}

char *json_string_convert(const char *raw, GString *out)
{
    const char *p = raw + 1, *last = raw + strlen(raw) - 1;
    gsize before = out->len;

    g_string_append_c(out, '"');
    while (p < last) {
        gunichar c = 0;
        char *why = json_string_next(p, &p, &c);

        if (why) {
            g_string_truncate(out, before);
            return why;
        }
        json_string_put(out, c);
    }
    g_string_append_c(out, '"');
    return NULL;
}
