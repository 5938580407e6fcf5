/* SPDX-License-Identifier: BSD-2-Clause */
/* The JSON framer: the same values and errors however the bytes are cut, and
 * little memory whatever they are. */
#include "wire/json-framer.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SIZE (64 << 10)

/* Everything that came out, one line each: "V json" or "E error". */
static void take(void *opaque, json_t *value, const char *error)
{
    GString *out = opaque;

    if (value) {
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

        g_string_append_printf(out, "V %s\n", text);
        free(text);
    } else {
        g_assert_true(g_utf8_validate(error, -1, NULL));
        g_string_append_printf(out, "E %s\n", error);
    }
}

/* Feeds @size bytes in pieces that @next chooses. */
static char *feed(const char *data, size_t size, size_t (*next)(void))
{
    JsonFramer framer;
    GString *out = g_string_new(NULL);

    json_framer_init(&framer, MAX_SIZE);
    while (size > 0) {
        size_t cut = next();
        size_t n = MIN(cut, size);

        json_framer_feed(&framer, data, n, take, out);
        data += n;
        size -= n;
    }
    g_assert_cmpuint(framer.text->len, <=, MAX_SIZE + 8);
    json_framer_free(&framer);
    return g_string_free(out, FALSE);
}

static size_t cut_none(void)
{
    return SIZE_MAX;
}

static size_t cut_bytes(void)
{
    return 1;
}

static size_t cut_random(void)
{
    return (size_t)g_test_rand_int_range(1, 8);
}

#define PARSE_ERROR "E JSON parse error, "
#define EXPECTING PARSE_ERROR "expecting value\n"

static const struct {
    const char *input, *output;
} cases[] = {
    {"{\"a\": 1}", "V {\"a\":1}\n"},
    {"{\"a\":1}{\"b\":2} [3]", "V {\"a\":1}\nV {\"b\":2}\nV [3]\n"},
    {"5 \"x\" true null 1.5\n", "V 5\nV \"x\"\nV true\nV null\nV 1.5\n"},
    {"5\"x\"", "V 5\nV \"x\"\n"},
    {"1e3\n-0\n", "V 1000.0\nV 0\n"},
    {"{'a':'it\\'s \"x\"'}", "V {\"a\":\"it's \\\"x\\\"\"}\n"},
    {"\"a\\'b\"", "V \"a'b\"\n"},
    {"\"}]\\\\\"", "V \"}]\\\\\"\n"},
    {"\"\\u0041\"", "V \"A\"\n"},
    {" \t\r\n", ""},
    {"[", ""},
    /* What does not fit an integer arrives all the same. */
    {"[18446744073709551615]", "V [1.8446744073709552e19]\n"},
    {"{\"a\":1,\"a\":2}", PARSE_ERROR "duplicate key\n"},
    {"{\"a\":1,}", EXPECTING},
    {"{,}", EXPECTING},
    {"}", EXPECTING},
    {"]", EXPECTING},
    {"[}", EXPECTING},
    {"{5:1}", PARSE_ERROR "key is not a string in object\n"},
    {"{\"a\"}", PARSE_ERROR "missing : in object pair\n"},
    {"{\"a\":1]", PARSE_ERROR "expected separator in dict\n"},
    {"[1 2]", PARSE_ERROR "expected separator in list\n"},
    {"\"\\x\"", PARSE_ERROR "invalid escape sequence in string\n"},
    {"nonsense\n", PARSE_ERROR "invalid keyword 'nonsense'\n"},
    {"[1e999]", PARSE_ERROR "number out of range\n"},
    {"\"\xc3\"", PARSE_ERROR "invalid UTF-8 sequence in string\n"},
    {"\"\xed\xa0\x80\"", PARSE_ERROR "invalid UTF-8 sequence in string\n"},
    /* Strays, and where it goes on behind them. */
    {"{\"a\":NaN}", PARSE_ERROR "stray 'N'\n" EXPECTING},
    {"01 5\n5\n", PARSE_ERROR "stray '01'\nV 5\n"},
    {"@\"x\"\n\"y\"", PARSE_ERROR "stray '@'\nV \"y\"\n"},
    {"// c\n{}", PARSE_ERROR "stray '/'\nV {}\n"},
    {"\"a\tb\"}", PARSE_ERROR "stray '\"a\t'\n" EXPECTING},
    {"\"abc\xff{}", PARSE_ERROR "stray '\"abc\357\277\275'\nV {}\n"},
    {"\xff{}", PARSE_ERROR "stray '\357\277\275'\nV {}\n"},
    {"{}\xff{}", "V {}\n" PARSE_ERROR "stray '\357\277\275'\nV {}\n"},
    {"-\n[]", PARSE_ERROR "stray '-\n'\nV []\n"},
    /* Strings. */
    {"'\"' '\\'' \"\\'\"", "V \"\\\"\"\nV \"'\"\nV \"'\"\n"},
    {"'\"\n", PARSE_ERROR "stray ''\"\n'\n"},
    {"\"\\q\"", PARSE_ERROR "invalid escape sequence in string\n"},
    {"\"\\u12\"", PARSE_ERROR "\\u12\" is not a valid Unicode character\n"},
    {"\"\\ud800\\u0041\"",
     PARSE_ERROR "\\ud800 is not a valid Unicode character\n"},
    {"\"\\udbff\\udfff\"",
     PARSE_ERROR "\\udbff\\udfff is not a valid Unicode character\n"},
    {"\"\xef\xbf\xbe\"", PARSE_ERROR "invalid UTF-8 sequence in string\n"},
    /* The first of two bad tokens is told, but not before what is amiss in
     * front of it. */
    {"{nil: '\\q'}", PARSE_ERROR "invalid keyword 'nil'\n"},
    {"[1 2, nil]", PARSE_ERROR "expected separator in list\n"},
};

static void test_cases(void)
{
    static size_t (*const cuts[])(void) = {cut_none, cut_bytes, cut_random};

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        for (size_t j = 0; j < G_N_ELEMENTS(cuts); j++) {
            g_autofree char *out =
                feed(cases[i].input, strlen(cases[i].input), cuts[j]);

            g_assert_cmpstr(out, ==, cases[i].output);
        }
    }
}

/* Random bytes with much JSON in them come out the same however cut. */
static void test_random(void)
{
    static const char *const pieces[] = {
        "{",    "}",   "[",  "]",    ":",   ",",    "\"a\"",  "'b'", "1",
        "-1.5", "1e3", "01", "true", "nil", "@",    " ",      "\n",  "\"",
        "'",    "\\",  "\t", "\xff", "/",   "\x01", "\"x\":", "{}",  "\xc3",
    };

    for (int i = 0; i < 2000; i++) {
        g_autoptr(GString) data = g_string_new(NULL);
        g_autofree char *whole = NULL;
        g_autofree char *bytes = NULL;
        g_autofree char *random = NULL;

        for (int n = g_test_rand_int_range(1, 20); n > 0; n--) {
            g_string_append(
                data, pieces[g_test_rand_int_range(0, G_N_ELEMENTS(pieces))]);
        }
        whole = feed(data->str, data->len, cut_none);
        bytes = feed(data->str, data->len, cut_bytes);
        random = feed(data->str, data->len, cut_random);
        g_assert_cmpstr(whole, ==, bytes);
        g_assert_cmpstr(whole, ==, random);
    }
}

static void test_nesting(void)
{
    g_autoptr(GString) good = g_string_new(NULL);
    g_autoptr(GString) bad = g_string_new(NULL);
    g_autofree char *out = NULL;
    g_autofree char *error = NULL;

    for (int i = 0; i < JSON_FRAMER_MAX_NESTING; i++) {
        g_string_append_c(good, '[');
    }
    for (int i = 0; i < JSON_FRAMER_MAX_NESTING; i++) {
        g_string_append_c(good, ']');
    }
    out = feed(good->str, good->len, cut_none);
    g_assert_true(g_str_has_prefix(out, "V [["));
    for (int i = 0; i < 100000; i++) {
        g_string_append_c(bad, '[');
    }
    g_string_append(bad, "\n{}");
    error = feed(bad->str, bad->len, cut_none);
    g_assert_cmpstr(error, ==, "E JSON nesting depth limit exceeded\nV {}\n");
}

static void test_size(void)
{
    g_autofree char *string = g_strnfill(10 * MAX_SIZE, 'x');
    g_autofree char *spaces = g_strnfill(10 * MAX_SIZE, ' ');
    g_autofree char *long_string = g_strconcat("\"", string, "\"\n{}", NULL);
    g_autofree char *long_space = g_strconcat("[", spaces, "]", NULL);
    g_autofree char *error = feed(long_string, strlen(long_string), cut_none);
    g_autofree char *value = feed(long_space, strlen(long_space), cut_none);

    g_assert_cmpstr(error, ==, "E JSON token size limit exceeded\nV {}\n");
    g_assert_cmpstr(value, ==, "V []\n");
}

/* Few bytes a value: what parsing them allocates is bounded, too. */
static void test_tokens(void)
{
    JsonFramer framer;
    g_autoptr(GString) data = g_string_new("[");
    g_autoptr(GString) out = g_string_new(NULL);

    json_framer_init(&framer, 4 << 20);
    for (int i = 0; i < JSON_FRAMER_MAX_TOKENS; i++) {
        g_string_append(data, "{},");
    }
    json_framer_feed(&framer, data->str, data->len, take, out);
    g_assert_cmpstr(out->str, ==, "E JSON token count limit exceeded\n");
    json_framer_free(&framer);
}

static void test_reset(void)
{
    JsonFramer framer;
    g_autoptr(GString) out = g_string_new(NULL);

    json_framer_init(&framer, MAX_SIZE);
    json_framer_feed(&framer, "{\"half", 6, take, out);
    json_framer_reset(&framer);
    json_framer_feed(&framer, "[]", 2, take, out);
    g_assert_cmpstr(out->str, ==, "V []\n");
    json_framer_free(&framer);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/json-framer/cases", test_cases);
    g_test_add_func("/json-framer/random", test_random);
    g_test_add_func("/json-framer/nesting", test_nesting);
    g_test_add_func("/json-framer/size", test_size);
    g_test_add_func("/json-framer/tokens", test_tokens);
    g_test_add_func("/json-framer/reset", test_reset);
    return g_test_run();
}
