/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/line-editor.h"

#include <string.h>

typedef struct Seen {
    LineEditor *editor;
    GString *screen;  /* all output */
    GPtrArray *lines; /* ended; "too long" for NULL */
} Seen;

static void seen_output(void *opaque, const char *data, size_t size)
{
    g_string_append_len(((Seen *)opaque)->screen, data, (gssize)size);
}

static void seen_line(void *opaque, const char *line)
{
    g_ptr_array_add(((Seen *)opaque)->lines,
                    g_strdup(line ? line : "too long"));
}

static void seen_complete(void *opaque, const char *line, GPtrArray *words)
{
    static const char *const all[] = {"alpha", "alps", "beta", "key="};
    const char *space = strrchr(line, ' ');
    const char *typed = space ? space + 1 : line;

    for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
        if (g_str_has_prefix(all[i], typed)) {
            g_ptr_array_add(words, g_strdup(all[i]));
        }
    }
}

static const LineEditorHandlers handlers = {
    .output = seen_output,
    .line = seen_line,
    .complete = seen_complete,
};

static void seen_init(Seen *seen)
{
    seen->screen = g_string_new(NULL);
    seen->lines = g_ptr_array_new_with_free_func(g_free);
    seen->editor = line_editor_new("> ", 16, &handlers, seen);
}

static void seen_clear(Seen *seen)
{
    line_editor_free(seen->editor);
    g_string_free(seen->screen, TRUE);
    g_ptr_array_unref(seen->lines);
}

/* Feeds @keys one by one, as a person does; the last line must be @line. */
static void seen_expect(Seen *seen, const char *keys, const char *line)
{
    guint before = seen->lines->len;

    for (const char *key = keys; *key; key++) {
        line_editor_feed(seen->editor, key, 1);
    }
    g_assert_cmpuint(seen->lines->len, ==, before + 1);
    g_assert_cmpstr(seen->lines->pdata[before], ==, line);
}

static void test_script(void)
{
    Seen seen;

    seen_init(&seen);
    line_editor_feed(seen.editor, "one\r\ntwo\nthree\r", 15);
    g_assert_cmpuint(seen.lines->len, ==, 3);
    g_assert_cmpstr(seen.lines->pdata[0], ==, "one");
    g_assert_cmpstr(seen.lines->pdata[1], ==, "two");
    g_assert_cmpstr(seen.lines->pdata[2], ==, "three");
    /* Whole lines are not echoed. */
    g_assert_cmpstr(seen.screen->str, ==, "");
    /* The limit holds, and the next line is a line again. */
    line_editor_feed(seen.editor, "01234567890123456789\nx\n", 23);
    g_assert_cmpstr(seen.lines->pdata[3], ==, "too long");
    g_assert_cmpstr(seen.lines->pdata[4], ==, "x");
    seen_clear(&seen);
}

static void test_keys(void)
{
    static const struct {
        const char *keys, *line;
    } rows[] = {
        {"abc\n", "abc"},
        {"abc\x7f\n", "ab"},
        {"abc\b\b\n", "a"},
        {"bc\001a\n", "abc"},
        {"ac\033[Db\n", "abc"},
        {"ac\033ODb\033OCd\n", "abcd"},
        {"abc\001\004\n", "bc"},
        {"abc\001\033[3~\n", "bc"},
        {"abc\001\013\n", ""},
        {"abc\002\025\n", "c"},
        {"ab cd  \027x\n", "ab x"},
        {"b\033[Ha\033[Fc\n", "abc"},
        {"\xc3\xa4\xc3\xb6\x7f\n", "\xc3\xa4"},
        {"\xc3\xa4\002x\n", "x\xc3\xa4"},
        {"\x7f\033[D\004\025\027\n", ""},
        {"a\033[15;5~b\033xc\n", "abc"},
        {"0123456789abcdef\n", "0123456789abcdef"},
        {"0123456789abcdefg\n", "too long"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        Seen seen;

        seen_init(&seen);
        seen_expect(&seen, rows[i].keys, rows[i].line);
        seen_clear(&seen);
    }
}

static void test_history(void)
{
    Seen seen;

    seen_init(&seen);
    seen_expect(&seen, "one\n", "one");
    seen_expect(&seen, "two\n", "two");
    seen_expect(&seen, "two\n", "two"); /* kept once */
    seen_expect(&seen, "\020\020\n", "one");
    seen_expect(&seen, "\033[A\033[A\033[A\033[A\n", "one");
    seen_expect(&seen, "dr\033[A\033[Baft\n", "draft");
    seen_expect(&seen, "\016x\n", "x");
    for (int i = 0; i < 200; i++) {
        g_autofree char *keys = g_strdup_printf("n%d\n", i);
        g_autofree char *line = g_strdup_printf("n%d", i);

        seen_expect(&seen, keys, line);
    }
    seen_expect(&seen, "\020\020\n", "n198");
    seen_clear(&seen);
}

static void test_completion(void)
{
    Seen seen;

    seen_init(&seen);
    seen_expect(&seen, "b\t\n", "beta ");
    seen_expect(&seen, "x b\ty\n", "x beta y");
    seen_expect(&seen, "k\tv\n", "key=v");
    seen_expect(&seen, "a\th\t\n", "alpha ");
    seen_expect(&seen, "zz\t\n", "zz");
    g_string_truncate(seen.screen, 0);
    seen_expect(&seen, "al\t\t\n", "alp");
    g_assert_nonnull(strstr(seen.screen->str, "alpha"));
    g_assert_nonnull(strstr(seen.screen->str, "alps"));
    g_assert_null(strstr(seen.screen->str, "beta"));
    seen_clear(&seen);
}

static void test_echo(void)
{
    Seen seen;

    seen_init(&seen);
    line_editor_prompt(seen.editor);
    line_editor_set_interactive(seen.editor);
    line_editor_feed(seen.editor, "ab", 2);
    g_assert_cmpstr(seen.screen->str, ==, "> ab");
    g_string_truncate(seen.screen, 0);
    line_editor_feed(seen.editor, "\002x", 2);
    g_assert_cmpstr(seen.screen->str, ==,
                    "\r> ab\033[K\033[1D\r> axb\033[K\033[1D");
    seen_clear(&seen);
}

/* Whatever comes in, nothing breaks. */
static void test_noise(void)
{
    GRand *rand = g_rand_new_with_seed(1);
    Seen seen;

    seen_init(&seen);
    for (int i = 0; i < 200000; i++) {
        char byte = (char)g_rand_int_range(rand, 0, 256);

        line_editor_feed(seen.editor, &byte, 1);
        g_string_truncate(seen.screen, 0);
    }
    line_editor_feed(seen.editor, "\n", 1);
    seen_expect(&seen, "ok\n", "ok");
    seen_clear(&seen);
    g_rand_free(rand);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/line-editor/script", test_script);
    g_test_add_func("/line-editor/keys", test_keys);
    g_test_add_func("/line-editor/history", test_history);
    g_test_add_func("/line-editor/completion", test_completion);
    g_test_add_func("/line-editor/echo", test_echo);
    g_test_add_func("/line-editor/noise", test_noise);
    return g_test_run();
}
