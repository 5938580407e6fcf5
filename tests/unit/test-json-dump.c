/* SPDX-License-Identifier: BSD-2-Clause */
/* JSON to text: always what jansson writes. */
#include "wire/json-dump.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void check(json_t *value)
{
    char *expected = json_dumps(value, JSON_ENSURE_ASCII | JSON_ENCODE_ANY);
    g_autoptr(GString) text = g_string_new("before");

    json_dump(text, value);
    g_assert_cmpstr(text->str + strlen("before"), ==, expected);
    g_assert_cmpuint(text->len, ==, strlen("before") + strlen(expected));
    free(expected);
    json_decref(value);
}

static void test_values(void)
{
    const json_int_t integers[] = {0,  1,   -1,        9,         10,
                                   99, 100, INT64_MAX, INT64_MIN, INT32_MIN};

    for (size_t i = 0; i < G_N_ELEMENTS(integers); i++) {
        check(json_integer(integers[i]));
    }
    check(json_real(0.1));
    check(json_real(-1e300));
    check(json_true());
    check(json_false());
    check(json_null());
    check(json_array());
    check(json_object());
}

/* Each character alone, and between others. */
static void test_strings(void)
{
    check(json_string(""));
    for (gunichar c = 0; c < 0x3000; c++) {
        char text[16] = "a";
        int n = g_unichar_to_utf8(c, text + 1);

        text[1 + n] = 'b';
        check(json_stringn(text + 1, (size_t)n));
        check(json_stringn(text, (size_t)n + 2));
    }
    check(json_string("\xf0\x9f\x90\xa7 and \"quoted\" \\ and / and \x7f"));
}

static json_t *random_value(unsigned depth)
{
    json_t *value;
    int n = g_test_rand_int_range(0, 5);

    switch (g_test_rand_int_range(depth > 0 ? 0 : 2, 6)) {
    case 0:
        value = json_array();
        for (int i = 0; i < n; i++) {
            json_array_append_new(value, random_value(depth - 1));
        }
        return value;
    case 1:
        value = json_object();
        for (int i = 0; i < n; i++) {
            g_autofree char *key =
                g_strdup_printf("%d%s", i, i % 2 ? "key" : "k\xc3\xa4\n");

            json_object_set_new(value, key, random_value(depth - 1));
        }
        return value;
    case 2:
        return json_integer((json_int_t)g_test_rand_int() * n * n);
    case 3:
        return json_string("dropped-queue-full");
    case 4:
        return json_boolean(n > 2);
    default:
        return json_real(g_test_rand_double());
    }
}

static void test_random(void)
{
    for (int i = 0; i < 2000; i++) {
        check(random_value(5));
    }
}

/* What stands in several places is the same in each, also what is in it. */
static void test_shared(void)
{
    for (int i = 0; i < 200; i++) {
        json_t *inner = random_value(2), *outer = random_value(2);
        json_t *list = json_array();

        for (int j = 0; j < 40; j++) {
            json_array_append(list, j % 3 ? inner : outer);
            json_array_append_new(list,
                                  json_pack("{s:O, s:[O, O]}", "a", inner, "b",
                                            outer, i % 2 ? inner : outer));
        }
        json_decref(inner);
        json_decref(outer);
        check(list);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/json-dump/values", test_values);
    g_test_add_func("/json-dump/strings", test_strings);
    g_test_add_func("/json-dump/random", test_random);
    g_test_add_func("/json-dump/shared", test_shared);
    return g_test_run();
}
