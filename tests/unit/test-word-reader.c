/* SPDX-License-Identifier: BSD-2-Clause */
/* Words about a VM: the same however the bytes are cut, and none out of what
 * is none. */
#include "vm/word-reader.h"

#include <string.h>

static void take(void *opaque, const char *word)
{
    g_string_append_printf(opaque, "%s|", word);
}

/* The words of @text, fed in pieces of @cut bytes. */
static char *read_words(const char *text, size_t cut)
{
    GString *words = g_string_new(NULL);
    size_t size = strlen(text);
    WordReader reader;

    word_reader_init(&reader);
    while (size > 0) {
        size_t n = MIN(cut, size);

        word_reader_feed(&reader, text, n, take, words);
        text += n;
        size -= n;
    }
    word_reader_free(&reader);
    return g_string_free(words, FALSE);
}

static void check(const char *text, const char *expected)
{
    for (size_t cut = 1; cut < 6; cut++) {
        g_autofree char *words = read_words(text, cut);

        g_assert_cmpstr(words, ==, expected);
    }
}

static void test_lines(void)
{
    check("running\nstopped\n", "running|stopped|");
    check("\n  running \r\n\t\n# a comment\nstopped # why\n",
          "running|stopped|");
    check("two words\n", "two words|");
    check("unfinished", "");
}

/* As docs/event-monitor.md of Cloud Hypervisor shows them. */
static void test_events(void)
{
    check("{\n  \"timestamp\": {\n    \"secs\": 0,\n    \"nanos\": 1\n  },\n"
          "  \"source\": \"vm\",\n  \"event\": \"paused\",\n"
          "  \"properties\": null\n}\n\n{\"source\":\"vmm\","
          "\"event\":\"shutdown\",\"properties\":{\"id\":\"_net1\"}}\n\n",
          "vm.paused|vmm.shutdown|");
    check("stopped\n{\"source\":\"vm\",\"event\":\"resumed\"}gone\nrunning\n",
          "stopped|vm.resumed|gone|running|");
    check("{}\n{\"source\":1,\"event\":[]}\n", ".|.|");
}

static void test_broken_objects(void)
{
    check("{\"source\": vm}\nstopped\n",
          "JSON parse error, invalid keyword 'vm'|stopped|");
    check("{\"a\":1,\"a\":2}\nrunning\n",
          "JSON parse error, duplicate key|running|");
}

static void test_long_lines(void)
{
    g_autofree char *line = g_strnfill(100000, 'x');
    g_autofree char *text = g_strconcat(line, "\nrunning\n", NULL);
    g_autofree char *words = read_words(text, 1000);

    g_assert_cmpuint(strlen(words), ==,
                     WORD_READER_LINE_MAX + strlen("|running|"));
    g_assert_true(g_str_has_suffix(words, "x|running|"));
}

static void test_large_objects(void)
{
    g_autofree char *much = g_strnfill(2 * WORD_READER_OBJECT_MAX, 'x');
    g_autofree char *text =
        g_strconcat("{\"source\":\"", much, "\"}\nrunning\n", NULL);
    g_autofree char *words = read_words(text, 1000);

    g_assert_true(g_str_has_prefix(words, "JSON token size limit exceeded|"));
    g_assert_true(g_str_has_suffix(words, "|running|"));
    g_assert_cmpuint(strlen(words), <, 1000);
}

static void test_reset(void)
{
    g_autoptr(GString) words = g_string_new(NULL);
    WordReader reader;

    word_reader_init(&reader);
    word_reader_feed(&reader, "{\"so", 4, take, words);
    word_reader_reset(&reader);
    word_reader_feed(&reader, "stop", 4, take, words);
    word_reader_reset(&reader);
    word_reader_feed(&reader, "running\n", 8, take, words);
    g_assert_cmpstr(words->str, ==, "running|");
    word_reader_free(&reader);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/word-reader/lines", test_lines);
    g_test_add_func("/word-reader/events", test_events);
    g_test_add_func("/word-reader/broken-objects", test_broken_objects);
    g_test_add_func("/word-reader/long-lines", test_long_lines);
    g_test_add_func("/word-reader/large-objects", test_large_objects);
    g_test_add_func("/word-reader/reset", test_reset);
    return g_test_run();
}
