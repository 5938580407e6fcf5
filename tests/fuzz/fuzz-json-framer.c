/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests in a byte stream: however it is cut, the same values and as many
 * errors come out, and memory stays bounded.
 *
 * Input: one byte of how much a read takes, the stream.
 */
#include "fuzz.h"
#include "wire/json-framer.h"

#include <string.h>

#define VALUE_MAX 4096

static void fuzz_seen(void *opaque, json_t *value, const char *error)
{
    GString *seen = opaque;
    g_autofree char *text = NULL;

    g_assert(!value != !error);
    if (value) {
        text = json_dumps(value, JSON_ENCODE_ANY | JSON_SORT_KEYS);
        g_assert(text);
    } else {
        g_assert(g_utf8_validate(error, -1, NULL));
    }
    g_string_append_printf(seen, "%s\n", value ? text : "error");
}

static GString *fuzz_read(const uint8_t *data, size_t size, size_t most)
{
    GString *seen = g_string_new(NULL);
    JsonFramer framer;

    json_framer_init(&framer, VALUE_MAX);
    while (size > 0) {
        size_t n = MIN(most, size);

        json_framer_feed(&framer, (const char *)data, n, fuzz_seen, seen);
        g_assert(framer.text->len <= VALUE_MAX + n);
        data += n;
        size -= n;
    }
    json_framer_free(&framer);
    return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    GString *whole, *pieces;

    if (size < 1) {
        return 0;
    }
    whole = fuzz_read(data + 1, size - 1, SIZE_MAX);
    pieces = fuzz_read(data + 1, size - 1, 1 + data[0] % 16);
    g_assert(g_string_equal(whole, pieces));
    g_string_free(whole, TRUE);
    g_string_free(pieces, TRUE);
    return 0;
}
