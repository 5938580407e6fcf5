/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A line editor for the human monitor, without I/O: keys in, terminal output
 * out. Cursor keys, history, the usual control keys, completion by TAB.
 *
 * A script that sends whole lines gets no echo: it begins with the first key
 * that only a person types (one at a time, or a control key), or at once with
 * line_editor_set_interactive(). Main thread only.
 */
#ifndef TF_MONITOR_LINE_EDITOR_H
#define TF_MONITOR_LINE_EDITOR_H

#include <stdbool.h>
#include <stddef.h>

#include <glib.h>

typedef struct LineEditor LineEditor;

typedef struct LineEditorHandlers {
    /* To the terminal; @data is valid during the call. */
    void (*output)(void *opaque, const char *data, size_t size);
    /* A line was ended; NULL: it was longer than the limit. */
    void (*line)(void *opaque, const char *line);
    /* Adds to @words (they own their strings) what the last word of @line may
     * become. */
    void (*complete)(void *opaque, const char *line, GPtrArray *words);
} LineEditorHandlers;

/* @prompt stays the caller's. */
LineEditor *line_editor_new(const char *prompt, size_t limit,
                            const LineEditorHandlers *handlers, void *opaque);
/* Not from within a handler. */
void line_editor_free(LineEditor *editor);

/* Echo from now on. */
void line_editor_set_interactive(LineEditor *editor);

/* Shows the prompt for the next line. */
void line_editor_prompt(LineEditor *editor);

void line_editor_feed(LineEditor *editor, const char *data, size_t size);

#endif
