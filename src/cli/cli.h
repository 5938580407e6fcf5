/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The subcommands of tapferry(1): one row in main.c, one file each.
 */
#ifndef TF_CLI_CLI_H
#define TF_CLI_CLI_H

#include <stdbool.h>

#include <glib.h>

#define CLI_DEFAULT_SOCKET "/run/tapferry/qmp.sock"

typedef struct Cli {
    char *socket; /* --socket, before or behind the subcommand */
    bool socket_given;
} Cli;

/* @argv[0] is the subcommand's name. False and an error, which main() prints
 * and turns into an exit status. */
typedef bool CliRun(Cli *cli, int argc, char **argv, GError **errp);

CliRun cli_source;
CliRun cli_destination;
CliRun cli_mirror;
CliRun cli_stats;
CliRun cli_top;
CliRun cli_report;
CliRun cli_qmp;
CliRun cli_shell;
CliRun cli_demo;

/*
 * Parses a subcommand's options: @entries and --socket. @usage is what stands
 * behind the subcommand in its help. Returns the words that are left, owned.
 */
char **cli_parse(Cli *cli, int argc, char **argv, const char *usage,
                 const char *summary, const GOptionEntry *entries,
                 GError **errp);

/* What was printed is out. False and an error. */
bool cli_flush(GError **errp);

#endif
