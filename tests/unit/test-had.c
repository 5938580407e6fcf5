/* SPDX-License-Identifier: BSD-2-Clause */
#include "switchover/had.h"

#include <glib.h>

/* Notes one frame for each letter. */
static void note(Had *had, const char *frames)
{
    for (; *frames; frames++) {
        had_note(had, (uint64_t)*frames);
    }
}

/* Of what another source found, the letters that have come; the others are
 * noted. */
static char *take(Had *had, const char *found)
{
    GString *taken = g_string_new(NULL);

    for (; *found; found++) {
        if (had_take(had, (uint64_t)*found)) {
            g_string_append_c(taken, *found);
        } else {
            had_note(had, (uint64_t)*found);
        }
    }
    return g_string_free(taken, false);
}

static void check(Had *had, const char *found, const char *expected)
{
    g_autofree char *taken = NULL;

    had_follow(had);
    taken = take(had, found);
    g_assert_cmpstr(taken, ==, expected);
}

/* What the queue holds begins somewhere in what was shipped, and goes on behind
 * it. */
static void test_prefix(void)
{
    Had *had = had_new();

    check(had, "abc", "");
    had_clear(had);
    note(had, "xyabc");
    check(had, "abcde", "abc");
    /* And a third source finds the same and more. */
    check(had, "abcdef", "abcde");
    /* All of it was shipped, and more that found the queue full. */
    had_clear(had);
    note(had, "xabcdef");
    check(had, "abc", "abc");
    had_free(had);
}

/* Frames that are the same stay as many as they are. */
static void test_identical(void)
{
    Had *had = had_new();

    note(had, "aab");
    check(had, "aabaa", "aab");
    had_clear(had);
    /* Of the first one the queue holds nothing any more. */
    note(had, "abac");
    check(had, "baca", "bac");
    had_free(had);
}

/* A source that goes on with what it has itself shipped has had none of it. */
static void test_own(void)
{
    Had *had = had_new();
    g_autofree char *taken = NULL;

    had_follow(had);
    note(had, "ab");
    taken = take(had, "ab");
    g_assert_cmpstr(taken, ==, "");
    had_free(had);
}

static void test_limit(void)
{
    Had *had = had_new();

    for (uint64_t i = 0; i < 2 * HAD_MAX; i++) {
        had_note(had, i);
        g_assert_true(had_is_full(had) == (i >= HAD_MAX - 1));
    }
    had_follow(had);
    g_assert_true(had_take(had, HAD_MAX - 1));
    g_assert_false(had_take(had, HAD_MAX));
    had_clear(had);
    g_assert_false(had_is_full(had));
    had_free(had);
}

/* Of several queues each is in order; those that have ended begin with older
 * frames again. It is told again in the middle. */
static void test_queues(void)
{
    Had *had = had_new();
    g_autofree char *first = NULL, *rest = NULL;

    note(had, "1a2b3c4d");
    had_follow(had);
    had_end_queue(had, 5);
    had_end_queue(had, 4);
    had_end_queue(had, 0);
    first = take(had, "23");
    g_assert_cmpstr(first, ==, "23");
    had_end_queue(had, 3);
    had_end_queue(had, 2);
    rest = take(had, "45abcde1");
    g_assert_cmpstr(rest, ==, "4abcd");
    had_free(had);
}

/* @came had come when the place of the first of the last @from was told, then
 * @more did, and another source has found @found: how many came in front of
 * that from there on? -1: that is not known. */
static int in_front(const char *came, unsigned from, const char *more,
                    const char *found)
{
    Had *had = had_new();
    g_autofree char *taken = NULL;
    uint64_t n;
    bool known;

    note(had, came);
    had_place(had, from);
    note(had, more);
    had_place(had, 0);
    had_follow(had);
    taken = take(had, found);
    known = had_in_front(had, &n);
    had_free(had);
    return known ? (int)n : -1;
}

static void test_in_front(void)
{
    g_assert_cmpint(in_front("", 0, "abcdefgh", "abcdefgh"), ==, 0);
    g_assert_cmpint(in_front("", 0, "abcdefgh", "cdefghij"), ==, 2);
    g_assert_cmpint(in_front("xyz", 0, "abcdefgh", "cdefghij"), ==, 2);
    g_assert_cmpint(in_front("xyz", 1, "abcdefgh", "cdefghij"), ==, 3);
    /* What found no room is not among what was found. */
    g_assert_cmpint(in_front("", 0, "abcdefgh", "cdefh"), ==, 2);
    /* Some are the same, but not all of a row; or there is another such row. */
    g_assert_cmpint(in_front("", 0, "aaaaaabc", "aaabcd"), ==, 3);
    g_assert_cmpint(in_front("", 0, "aaaaaabc", "aaaabc"), ==, -1);
    g_assert_cmpint(in_front("", 0, "abcdabcd", "abcdef"), ==, -1);
    /* None of a row, or not all of it, had come. */
    g_assert_cmpint(in_front("", 0, "abcdefgh", "ijklm"), ==, -1);
    g_assert_cmpint(in_front("", 0, "abcdefgh", "ghijk"), ==, -1);
    g_assert_cmpint(in_front("", 0, "", "abcde"), ==, -1);
    g_assert_cmpint(in_front("", 0, "abcdefgh", "cde"), ==, -1);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/had/prefix", test_prefix);
    g_test_add_func("/had/identical", test_identical);
    g_test_add_func("/had/own", test_own);
    g_test_add_func("/had/limit", test_limit);
    g_test_add_func("/had/queues", test_queues);
    g_test_add_func("/had/in-front", test_in_front);
    return g_test_run();
}
