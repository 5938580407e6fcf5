/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How far it is, on stderr: one line that changes on a terminal, a line for
 * each change elsewhere.
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

/* @phase: what it does; @figures: how much of it, said on a terminal, and
 * elsewhere when the phase changes. */
void progress_show(Progress *progress, const char *phase, const char *figures);

/* Something that stays; other output may follow. */
void progress_say(Progress *progress, const char *text);

/* The line is finished. */
void progress_end(Progress *progress);

#endif
