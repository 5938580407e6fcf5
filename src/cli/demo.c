/* SPDX-License-Identifier: BSD-2-Clause */
/* tapferry demo: `make demo` of the checkout that it was built from. */
#include "cli/cli.h"

#include "cli/client.h"

#include <errno.h>
#include <unistd.h>

/* The checkout above us that has the demo, owned; or NULL. */
static char *demo_find_checkout(void)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    char *dir = self ? g_path_get_dirname(self) : g_strdup("/");

    while (dir[1]) {
        g_autofree char *script =
            g_build_filename(dir, "tests", "lab", "demo.py", NULL);
        char *parent;

        if (access(script, R_OK) == 0) {
            return dir;
        }
        parent = g_path_get_dirname(dir);
        g_free(dir);
        dir = parent;
    }
    g_free(dir);
    return NULL;
}

bool cli_demo(Cli *cli, int argc, char **argv, GError **errp)
{
    g_auto(GStrv) words = cli_parse(
        cli, argc, argv, NULL,
        "Live-migrates a real guest under a packet stream, without tapferry "
        "and with it.\nThe environment sets it: RATE (frames/s), SIZE "
        "(bytes), RUNS.",
        NULL, errp);
    g_autofree char *checkout = words ? demo_find_checkout() : NULL;

    if (!words) {
        return false;
    }
    if (words[0]) {
        g_set_error(errp, CLIENT_ERROR, CLIENT_FAILED,
                    "demo: '%s' is one word too many (it is set by RATE, SIZE "
                    "and RUNS)",
                    words[0]);
        return false;
    }
    if (!checkout) {
        g_set_error(errp, CLIENT_ERROR, CLIENT_FAILED,
                    "the demo needs tapferry's source tree: run 'make demo' "
                    "in a checkout");
        return false;
    }
    execlp("make", "make", "-C", checkout, "--no-print-directory", "demo",
           (char *)NULL);
    g_set_error(errp, CLIENT_ERROR, CLIENT_FAILED,
                "make can not be run: %s; install make", g_strerror(errno));
    return false;
}
