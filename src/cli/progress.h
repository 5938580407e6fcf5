/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Progress output on stderr: on a terminal one line that is updated, elsewhere
 * a line per change.
 */
#ifndef TF_CLI_PROGRESS_H
#define TF_CLI_PROGRESS_H

#include <stdbool.h>

#include <glib.h>

typedef struct Progress {
    const char *name; /* of the subcommand */
    bool quiet;
    bool shown; /* a line stands on the terminal, unfinished */
    char *last; /* phase said last, owned */
} Progress;

/* Shows @phase, and @figures; not on a terminal, only when @phase changes. */
void progress_show(Progress *progress, const char *phase, const char *figures);

/* Prints a line that stays. */
void progress_say(Progress *progress, const char *text);

/* Ends the line on a terminal; other output may follow. */
void progress_end(Progress *progress);

#endif
