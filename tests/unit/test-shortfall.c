/* SPDX-License-Identifier: BSD-2-Clause */
#include "switchover/shortfall.h"

#include <glib.h>

static void come(Shortfall *self, unsigned n)
{
    while (n-- > 0) {
        shortfall_came(self, true);
    }
}

static void begin(Shortfall *self, uint64_t place, uint64_t came)
{
    shortfall_begin(self, &(ShortfallPlace){.place = place}, came);
}

static bool found(Shortfall *self, uint64_t place)
{
    return shortfall_found(self, &(ShortfallFound){.place = place});
}

/* One ships 10 frames from place 100 on, and the next one finds so many of
 * which so many are new; the first that it captures itself has place 120. */
static void check(unsigned old, unsigned new, unsigned missing)
{
    Shortfall self = {0};

    shortfall_follow(&self); /* as each that names its session */
    begin(&self, 100, 0);
    come(&self, 10);
    shortfall_follow(&self);
    for (unsigned i = 0; i < old; i++) {
        shortfall_came(&self, false);
    }
    come(&self, new);
    g_assert_false(self.told);
    g_assert_true(found(&self, 120));
    g_assert_true(self.told);
    g_assert_cmpuint(self.missing, ==, missing);
}

static void test_counts(void)
{
    check(0, 0, 10);
    check(3, 4, 6);
    check(5, 10, 0);
    /* A stop has destroyed some that the TAP has never counted. */
    check(0, 12, 0);
}

/* A third one finds what the second, which has shipped 30, had not sent. */
static void test_third(void)
{
    Shortfall self = {0};

    begin(&self, 100, 0);
    come(&self, 10);
    shortfall_follow(&self);
    come(&self, 5);
    g_assert_true(found(&self, 120));
    come(&self, 30);
    shortfall_follow(&self);
    come(&self, 2);
    /* All 60 were in the queue, and are counted once more. */
    g_assert_true(shortfall_found(
        &self, &(ShortfallFound){.place = 160 + 60, .again = 60}));
    g_assert_cmpuint(self.from.place, ==, 220);
    g_assert_cmpuint(self.missing, ==, 5 + 8);
}

/* A connection breaks: the same source says it all once more. */
static void test_again(void)
{
    Shortfall self = {0};

    begin(&self, 100, 0);
    come(&self, 10);
    begin(&self, 100, 10);
    shortfall_follow(&self);
    come(&self, 5);
    g_assert_true(found(&self, 120));
    come(&self, 3);
    g_assert_false(found(&self, 120));
    begin(&self, 120, 3);
    g_assert_cmpuint(self.missing, ==, 5);
    g_assert_cmpuint(self.came, ==, 3);
}

/* The link cuts frames up; the first source ends in the middle of one. What the
 * next one has found had come before, but for its last piece; or all of it had.
 */
static void test_pieces(void)
{
    Shortfall self = {0};

    begin(&self, 100, 0);
    come(&self, 10);
    shortfall_pieces(&self, 5);
    come(&self, 4);
    g_assert_cmpuint(self.came, ==, 10);
    come(&self, 2);
    g_assert_cmpuint(self.came, ==, 12);
    shortfall_pieces(&self, 3);
    come(&self, 2);
    shortfall_follow(&self);
    shortfall_pieces(&self, 3);
    shortfall_came(&self, false);
    shortfall_came(&self, false);
    come(&self, 1);
    shortfall_pieces(&self, 2);
    shortfall_came(&self, false);
    shortfall_came(&self, false);
    g_assert_true(found(&self, 120));
    g_assert_cmpuint(self.missing, ==, 20 - 13);
}

/* The queue was full at the stop, when the TAP had counted 70 as taken, and
 * @taken when the next source looked; in front of the first that it found came
 * @front, or nobody knows. Of 30 since place 100 the TAP counts fewer. */
static bool check_full(Shortfall *self, uint64_t taken, int front, bool cut)
{
    *self = (Shortfall){0};
    shortfall_begin(
        self,
        &(ShortfallPlace){.place = 100, .taken = 70, .full = true, .cut = cut},
        0);
    come(self, 25);
    shortfall_follow(self);
    return shortfall_found(self,
                           &(ShortfallFound){.place = 130 - 8,
                                             .taken = taken,
                                             .aligned = front >= 0,
                                             .front = (uint64_t)MAX(front, 0)});
}

static void test_full(void)
{
    Shortfall self;

    /* Eight were destroyed, and two swallowed. */
    g_assert_true(check_full(&self, 72, 10, false));
    g_assert_cmpuint(self.missing, ==, 30 - 25);
    /* None was. */
    g_assert_true(check_full(&self, 72, 2, false));
    g_assert_cmpuint(self.missing, ==, 0);
    g_assert_false(check_full(&self, 72, -1, false));
    g_assert_false(check_full(&self, 72, 10, true));
    /* No stop destroys so many. */
    g_assert_false(check_full(&self, 72, 72 - 70 + 64, false));
    g_assert_false(self.told);
}

/* Nothing is told where nothing is known: the first one had not said its place,
 * the second has found nothing out, what came is void, the TAP is another one.
 */
static void test_unknown(void)
{
    Shortfall self = {0};

    come(&self, 10);
    shortfall_follow(&self);
    g_assert_false(found(&self, 120));
    g_assert_false(self.told);
    come(&self, 10);
    shortfall_follow(&self);
    begin(&self, 200, 0);
    g_assert_cmpuint(self.from.place, ==, 120);
    shortfall_clear(&self);
    shortfall_follow(&self);
    g_assert_false(found(&self, 220));
    shortfall_follow(&self);
    g_assert_false(found(&self, 3));
    shortfall_follow(&self);
    g_assert_true(found(&self, 5));
    g_assert_cmpuint(self.missing, ==, 2);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/shortfall/counts", test_counts);
    g_test_add_func("/shortfall/third", test_third);
    g_test_add_func("/shortfall/again", test_again);
    g_test_add_func("/shortfall/pieces", test_pieces);
    g_test_add_func("/shortfall/full", test_full);
    g_test_add_func("/shortfall/unknown", test_unknown);
    return g_test_run();
}
