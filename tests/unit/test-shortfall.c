/* SPDX-License-Identifier: BSD-2-Clause */
#include "switchover/shortfall.h"

#include <glib.h>

static void come(Shortfall *self, unsigned n)
{
    while (n-- > 0) {
        shortfall_came(self);
    }
}

static void begin(Shortfall *self, uint64_t place, uint64_t came)
{
    shortfall_begin(self, &(ShortfallPlace){.place = place}, came);
}

static bool found(Shortfall *self, uint64_t place, uint64_t cut)
{
    return shortfall_found(self, &(ShortfallFound){.place = place, .cut = cut});
}

/* One ships 10 frames from place 100 on, and the next one finds so many of
 * which so many are new; the first that it captures itself has place 120. */
static void check(unsigned new, unsigned cut, unsigned missing)
{
    Shortfall self = {0};

    shortfall_follow(&self); /* as each that names its session */
    begin(&self, 100, 0);
    come(&self, 10);
    shortfall_follow(&self);
    come(&self, new);
    g_assert_false(self.told);
    g_assert_true(found(&self, 120, cut));
    g_assert_true(self.told);
    g_assert_cmpuint(self.missing, ==, missing);
}

static void test_counts(void)
{
    check(0, 0, 10);
    check(4, 0, 6);
    check(10, 0, 0);
    /* A super-frame in five pieces, and two frames; or all had come before. */
    check(7, 4, 7);
    check(0, 4, 10);
    /* A stop has destroyed some that the TAP has never counted. */
    check(12, 0, 0);
}

/* A third one finds what the second, which has shipped 30, had not sent. */
static void test_third(void)
{
    Shortfall self = {0};

    begin(&self, 100, 0);
    come(&self, 10);
    shortfall_follow(&self);
    come(&self, 5);
    g_assert_true(found(&self, 120, 0));
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
    g_assert_true(found(&self, 120, 0));
    come(&self, 3);
    g_assert_false(found(&self, 120, 0));
    begin(&self, 120, 3);
    g_assert_cmpuint(self.missing, ==, 5);
    g_assert_cmpuint(self.came, ==, 3);
}

/* The link has cut super-frames up, and the source says how many frames they
 * were. */
static void test_cut(void)
{
    Shortfall self = {0};

    begin(&self, 100, 0);
    come(&self, 50);
    begin(&self, 100, 10);
    come(&self, 1);
    shortfall_follow(&self);
    g_assert_true(found(&self, 111, 0));
    g_assert_cmpuint(self.missing, ==, 0);
}

/* It says so in front of them; the first one ends in the middle of a frame. */
static void test_pieces(void)
{
    Shortfall self = {0};

    begin(&self, 100, 0);
    come(&self, 10);
    shortfall_begin(&self, &(ShortfallPlace){.place = 100, .pieces = 5}, 10);
    come(&self, 4);
    g_assert_cmpuint(self.came, ==, 10);
    come(&self, 2);
    g_assert_cmpuint(self.came, ==, 12);
    shortfall_begin(&self, &(ShortfallPlace){.place = 100, .pieces = 3}, 12);
    come(&self, 2);
    shortfall_follow(&self);
    come(&self, 1);
    g_assert_true(found(&self, 120, 0));
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
    g_assert_false(found(&self, 120, 0));
    g_assert_false(self.told);
    come(&self, 10);
    shortfall_follow(&self);
    begin(&self, 200, 0);
    g_assert_cmpuint(self.from.place, ==, 120);
    shortfall_clear(&self);
    shortfall_follow(&self);
    g_assert_false(found(&self, 220, 0));
    shortfall_follow(&self);
    g_assert_false(found(&self, 3, 0));
    shortfall_follow(&self);
    g_assert_true(found(&self, 5, 0));
    g_assert_cmpuint(self.missing, ==, 2);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/shortfall/counts", test_counts);
    g_test_add_func("/shortfall/third", test_third);
    g_test_add_func("/shortfall/again", test_again);
    g_test_add_func("/shortfall/cut", test_cut);
    g_test_add_func("/shortfall/pieces", test_pieces);
    g_test_add_func("/shortfall/full", test_full);
    g_test_add_func("/shortfall/unknown", test_unknown);
    return g_test_run();
}
