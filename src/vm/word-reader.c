/* SPDX-License-Identifier: BSD-2-Clause */
#include "vm/word-reader.h"

#include <string.h>

typedef struct WordReaderCall {
    WordReader *reader;
    WordReaderFunc *func;
    void *opaque;
} WordReaderCall;

void word_reader_init(WordReader *reader)
{
    reader->line = g_string_new(NULL);
    json_framer_init(&reader->json, WORD_READER_OBJECT_MAX);
    reader->in_object = false;
}

void word_reader_free(WordReader *reader)
{
    g_string_free(reader->line, TRUE);
    json_framer_free(&reader->json);
}

void word_reader_reset(WordReader *reader)
{
    g_string_truncate(reader->line, 0);
    json_framer_reset(&reader->json);
    reader->in_object = false;
}

static void word_reader_object(void *opaque, json_t *value, const char *error)
{
    WordReaderCall *call = opaque;
    const char *source = json_string_value(json_object_get(value, "source"));
    const char *event = json_string_value(json_object_get(value, "event"));
    g_autofree char *word =
        g_strdup_printf("%s.%s", source ? source : "", event ? event : "");

    call->reader->in_object = false;
    call->func(call->opaque, error ? error : word);
}

static void word_reader_line(WordReaderCall *call)
{
    GString *line = call->reader->line;
    char *comment = strchr(line->str, '#');

    if (comment) {
        *comment = '\0';
    }
    g_strstrip(line->str);
    if (*line->str) {
        call->func(call->opaque, line->str);
    }
    g_string_truncate(line, 0);
}

/* Behind an error, or with the object's end, the rest of the line is its
 * own. */
static void word_reader_json_byte(WordReaderCall *call, char c)
{
    WordReader *reader = call->reader;

    json_framer_feed(&reader->json, &c, 1, word_reader_object, call);
    if (!reader->in_object) {
        json_framer_reset(&reader->json);
    }
}

static void word_reader_byte(WordReaderCall *call, char c)
{
    GString *line = call->reader->line;

    if (call->reader->in_object) {
        word_reader_json_byte(call, c);
    } else if (c == '\n') {
        word_reader_line(call);
    } else if (c == '{' && line->len == 0) {
        call->reader->in_object = true;
        word_reader_json_byte(call, c);
    } else if (line->len < WORD_READER_LINE_MAX &&
               (line->len > 0 || !g_ascii_isspace(c))) {
        g_string_append_c(line, c);
    }
}

void word_reader_feed(WordReader *reader, const char *data, size_t size,
                      WordReaderFunc *func, void *opaque)
{
    WordReaderCall call = {reader, func, opaque};

    for (size_t i = 0; i < size; i++) {
        word_reader_byte(&call, data[i]);
    }
}
