/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A tapferryd started for one command, with a private directory for its
 * monitor's socket and its log; it ends with the command, even if that is
 * killed (PR_SET_PDEATHSIG).
 */
#ifndef TF_CLI_CHILD_H
#define TF_CLI_CHILD_H

#include "cli/client.h"

#include <sys/types.h>

typedef struct Child {
    pid_t pid;    /* 0: does not run */
    char *dir;    /* private, removed at the end */
    char *socket; /* of its monitor */
    char *log;    /* where it logs */
    Client *client;
} Child;

/* Starts it with @args (char *, borrowed) and connects to its monitor. @socket:
 * path of its monitor, or NULL for one in the private directory. @log:
 * likewise. If it does not start, its last line is the error. */
bool child_start(Child *child, const char *socket, const char *log,
                 const GPtrArray *args, GError **errp);

/* The last line that the daemon printed, without its name; owned. */
char *child_last_words(const Child *child);

/* Ends it and cleans up; harmless if it never ran. */
void child_stop(Child *child);

#endif
