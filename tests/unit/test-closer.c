/* SPDX-License-Identifier: BSD-2-Clause */
/* The closer: all is closed when it says so, and it begins again. */
#include "base/closer.h"

#include <unistd.h>

#include <glib.h>

#define PIPES 200

static void test_all(void)
{
    int fds[PIPES][2];
    char byte;

    for (int i = 0; i < PIPES; i++) {
        g_assert_cmpint(pipe(fds[i]), ==, 0);
        closer_close(fds[i][1]);
    }
    closer_finish();
    for (int i = 0; i < PIPES; i++) {
        /* Nobody can write any more. */
        g_assert_cmpint(read(fds[i][0], &byte, 1), ==, 0);
        closer_close(fds[i][0]);
    }
    closer_finish();
    closer_finish(); /* with nothing to do */
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/closer/all", test_all);
    return g_test_run();
}
