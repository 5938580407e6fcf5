/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/line-editor.h"

#include <string.h>

#define HISTORY_MAX 64
/* What a list of completions is laid out for. */
#define LIST_WIDTH 78
/* Control keys are letters less this. */
#define CTRL(letter) ((letter) - '@')
#define KEY_ESCAPE 0x1b
#define KEY_DELETE 0x7f

struct LineEditor {
    const char *prompt;
    size_t limit;
    const LineEditorHandlers *handlers;
    void *opaque;
    GString *line;
    size_t cursor; /* byte offset, never inside a character */
    bool interactive;
    bool too_long;      /* what is left of the line is skipped */
    char last;          /* the byte before: \r\n is one line's end */
    char escape[8];     /* an escape sequence so far, without ESC */
    size_t escape_len;  /* bytes of it */
    bool escaping;      /* ESC was seen */
    GPtrArray *history; /* oldest first */
    guint recalled;     /* the entry shown; history->len: none */
    char *draft;        /* the line before a recall */
};

static void editor_output(LineEditor *self, const char *text)
{
    self->handlers->output(self->opaque, text, strlen(text));
}

LineEditor *line_editor_new(const char *prompt, size_t limit,
                            const LineEditorHandlers *handlers, void *opaque)
{
    LineEditor *self = g_new0(LineEditor, 1);

    self->prompt = prompt;
    self->limit = limit;
    self->handlers = handlers;
    self->opaque = opaque;
    self->line = g_string_new(NULL);
    self->history = g_ptr_array_new_with_free_func(g_free);
    return self;
}

void line_editor_free(LineEditor *self)
{
    g_string_free(self->line, TRUE);
    g_ptr_array_unref(self->history);
    g_free(self->draft);
    g_free(self);
}

/* Bytes of a character behind its first one. */
static bool editor_is_inner(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* Characters of the line from @from on. */
static unsigned editor_columns(const LineEditor *self, size_t from)
{
    unsigned n = 0;

    for (size_t i = from; i < self->line->len; i++) {
        n += !editor_is_inner(self->line->str[i]);
    }
    return n;
}

static void editor_redraw(LineEditor *self)
{
    unsigned behind = editor_columns(self, self->cursor);
    g_autoptr(GString) out = g_string_new("\r");

    if (!self->interactive) {
        return;
    }
    g_string_append_printf(out, "%s%s\033[K", self->prompt, self->line->str);
    if (behind > 0) {
        g_string_append_printf(out, "\033[%uD", behind);
    }
    editor_output(self, out->str);
}

void line_editor_set_interactive(LineEditor *self)
{
    self->interactive = true;
}

void line_editor_prompt(LineEditor *self)
{
    editor_output(self, self->prompt);
}

/* Replaces the line; the cursor goes to its end. */
static void editor_set(LineEditor *self, const char *text)
{
    g_string_assign(self->line, text);
    self->cursor = self->line->len;
    editor_redraw(self);
}

static void editor_insert(LineEditor *self, char c)
{
    bool at_end = self->cursor == self->line->len;

    if (self->line->len >= self->limit) {
        self->too_long = true;
        return;
    }
    g_string_insert_c(self->line, (gssize)self->cursor++, c);
    if (at_end && self->interactive) {
        self->handlers->output(self->opaque, &c, 1);
    } else {
        editor_redraw(self);
    }
}

static void editor_erase(LineEditor *self, size_t from, size_t to)
{
    g_string_erase(self->line, (gssize)from, (gssize)(to - from));
    self->cursor = from;
    editor_redraw(self);
}

static size_t editor_left(const LineEditor *self)
{
    size_t at = self->cursor;

    while (at > 0 && editor_is_inner(self->line->str[--at])) {
    }
    return at;
}

static size_t editor_right(const LineEditor *self)
{
    size_t at = self->cursor;

    if (at < self->line->len) {
        do {
            at++;
        } while (editor_is_inner(self->line->str[at]));
    }
    return at;
}

/* Where the word in front of the cursor begins. */
static size_t editor_word(const LineEditor *self)
{
    const char *text = self->line->str;
    size_t at = self->cursor;

    while (at > 0 && text[at - 1] == ' ') {
        at--;
    }
    while (at > 0 && text[at - 1] != ' ') {
        at--;
    }
    return at;
}

static void editor_move(LineEditor *self, size_t to)
{
    self->cursor = to;
    editor_redraw(self);
}

/* History */

static void editor_remember(LineEditor *self)
{
    guint n = self->history->len;

    if (self->line->len > 0 &&
        (n == 0 || strcmp(self->history->pdata[n - 1], self->line->str) != 0)) {
        g_ptr_array_add(self->history, g_strdup(self->line->str));
    }
    if (self->history->len > HISTORY_MAX) {
        g_ptr_array_remove_index(self->history, 0);
    }
    self->recalled = self->history->len;
}

static void editor_recall(LineEditor *self, int step)
{
    guint to = self->recalled + (guint)step;

    if (to > self->history->len) { /* beyond either end */
        return;
    }
    if (self->recalled == self->history->len) {
        g_free(self->draft);
        self->draft = g_strdup(self->line->str);
    }
    self->recalled = to;
    editor_set(self, to < self->history->len ? self->history->pdata[to]
                                             : self->draft);
}

/* Completion */

static size_t editor_common(const GPtrArray *words)
{
    const char *first = words->pdata[0];
    size_t len = strlen(first);

    for (guint i = 1; i < words->len; i++) {
        size_t same = 0;

        while (same < len && first[same] == ((char *)words->pdata[i])[same]) {
            same++;
        }
        len = same;
    }
    return len;
}

static void editor_list(LineEditor *self, const GPtrArray *words)
{
    g_autoptr(GString) out = g_string_new("\r\n");
    size_t width = 0, column = 0;

    for (guint i = 0; i < words->len; i++) {
        width = MAX(width, strlen(words->pdata[i]) + 2);
    }
    for (guint i = 0; i < words->len; i++) {
        column += width;
        if (i + 1 == words->len || column + width > LIST_WIDTH) {
            g_string_append_printf(out, "%s\r\n", (char *)words->pdata[i]);
            column = 0;
        } else {
            g_string_append_printf(out, "%-*s", (int)width,
                                   (char *)words->pdata[i]);
        }
    }
    editor_output(self, out->str);
    editor_redraw(self);
}

static void editor_complete(LineEditor *self)
{
    g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *head = g_strndup(self->line->str, self->cursor);
    const char *space = strrchr(head, ' ');
    size_t typed = strlen(space ? space + 1 : head), common;
    const char *word;

    self->handlers->complete(self->opaque, head, words);
    if (words->len == 0) {
        return;
    }
    word = words->pdata[0];
    common = editor_common(words);
    for (size_t i = typed; i < common; i++) {
        editor_insert(self, word[i]);
    }
    if (words->len == 1 && common > 0 && !strchr("=,/", word[common - 1])) {
        editor_insert(self, ' ');
    } else if (words->len > 1 && common <= typed) {
        editor_list(self, words);
    }
}

/* Keys */

static void editor_end_line(LineEditor *self)
{
    g_autofree char *line = g_strdup(self->line->str);

    editor_remember(self);
    g_string_truncate(self->line, 0);
    self->cursor = 0;
    if (self->interactive) {
        editor_output(self, "\r\n");
    }
    self->handlers->line(self->opaque, self->too_long ? NULL : line);
    self->too_long = false;
}

static void editor_control(LineEditor *self, char c)
{
    switch (c) {
    case CTRL('A'):
        editor_move(self, 0);
        break;
    case CTRL('B'):
        editor_move(self, editor_left(self));
        break;
    case CTRL('D'):
        editor_erase(self, self->cursor, editor_right(self));
        break;
    case CTRL('E'):
        editor_move(self, self->line->len);
        break;
    case CTRL('F'):
        editor_move(self, editor_right(self));
        break;
    case CTRL('H'):
    case KEY_DELETE:
        editor_erase(self, editor_left(self), self->cursor);
        break;
    case CTRL('I'):
        editor_complete(self);
        break;
    case CTRL('K'):
        editor_erase(self, self->cursor, self->line->len);
        break;
    case CTRL('L'):
        editor_output(self, "\033[H\033[2J");
        editor_redraw(self);
        break;
    case CTRL('N'):
        editor_recall(self, 1);
        break;
    case CTRL('P'):
        editor_recall(self, -1);
        break;
    case CTRL('U'):
        editor_erase(self, 0, self->cursor);
        break;
    case CTRL('W'):
        editor_erase(self, editor_word(self), self->cursor);
        break;
    default:
        break;
    }
}

/* The control key that an escape sequence stands for (ECMA-48 and what
 * terminals send), or 0. */
static char editor_escape_key(const char *sequence)
{
    static const struct {
        const char *sequence;
        char key;
    } keys[] = {
        {"[A", CTRL('P')},  {"[B", CTRL('N')},  {"[C", CTRL('F')},
        {"[D", CTRL('B')},  {"[H", CTRL('A')},  {"[F", CTRL('E')},
        {"OA", CTRL('P')},  {"OB", CTRL('N')},  {"OC", CTRL('F')},
        {"OD", CTRL('B')},  {"OH", CTRL('A')},  {"OF", CTRL('E')},
        {"[1~", CTRL('A')}, {"[3~", CTRL('D')}, {"[4~", CTRL('E')},
        {"[7~", CTRL('A')}, {"[8~", CTRL('E')},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        if (strcmp(keys[i].sequence, sequence) == 0) {
            return keys[i].key;
        }
    }
    return 0;
}

/* One byte of an escape sequence: it ends with a letter or ~. */
static void editor_escape(LineEditor *self, char c)
{
    bool intro = self->escape_len == 0 && (c == '[' || c == 'O');

    if (self->escape_len + 1 < sizeof(self->escape)) {
        self->escape[self->escape_len++] = c;
        self->escape[self->escape_len] = '\0';
    }
    if (!intro && !(c >= ' ' && c < '@')) {
        char key = editor_escape_key(self->escape);

        self->escaping = false;
        if (key) {
            editor_control(self, key);
        }
    }
}

static void editor_start_interactive(LineEditor *self)
{
    if (!self->interactive) {
        self->interactive = true;
        editor_redraw(self);
    }
}

static void editor_byte(LineEditor *self, char c)
{
    bool second = c == '\n' && self->last == '\r';

    self->last = c;
    if (c == '\n' || c == '\r') {
        self->escaping = false;
        if (!second) {
            editor_end_line(self);
        }
    } else if (self->escaping) {
        editor_escape(self, c);
    } else if (c == KEY_ESCAPE) {
        editor_start_interactive(self);
        self->escaping = true;
        self->escape_len = 0;
    } else if (g_ascii_iscntrl(c)) {
        editor_start_interactive(self);
        editor_control(self, c);
    } else {
        editor_insert(self, c);
    }
}

void line_editor_feed(LineEditor *self, const char *data, size_t size)
{
    if (size == 1 && !g_ascii_iscntrl(*data)) {
        editor_start_interactive(self);
    }
    for (size_t i = 0; i < size; i++) {
        editor_byte(self, data[i]);
    }
}
