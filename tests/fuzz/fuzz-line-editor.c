/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Keys of the human monitor's user, as bytes.
 *
 * Input: the bytes; one in eight ends a read.
 */
#include "fuzz.h"
#include "monitor/line-editor.h"

#include <string.h>

#define LINE_MAX_BYTES 32

static void fuzz_output(void *opaque, const char *data, size_t size)
{
    *(size_t *)opaque += size;
}

static void fuzz_line(void *opaque, const char *line)
{
    g_assert(!line || strlen(line) <= LINE_MAX_BYTES);
}

static void fuzz_complete(void *opaque, const char *line, GPtrArray *words)
{
    g_ptr_array_add(words, g_strdup("alpha"));
    g_ptr_array_add(words, g_strdup("al"));
    g_ptr_array_add(words, g_strdup(line));
}

static const LineEditorHandlers fuzz_handlers = {
    .output = fuzz_output,
    .line = fuzz_line,
    .complete = fuzz_complete,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t written = 0, begin = 0;
    LineEditor *editor =
        line_editor_new("> ", LINE_MAX_BYTES, &fuzz_handlers, &written);

    line_editor_prompt(editor);
    for (size_t i = 0; i < size; i++) {
        if (data[i] % 8 == 0) {
            line_editor_feed(editor, (const char *)data + begin, i - begin);
            begin = i;
        }
    }
    line_editor_feed(editor, (const char *)data + begin, size - begin);
    line_editor_free(editor);
    return 0;
}
