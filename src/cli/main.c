/* SPDX-License-Identifier: BSD-2-Clause */
/* tapferry: what a person types. */
#include "cli/cli.h"

#include "base/error.h"
#include "base/stdio.h"
#include "base/version.h"
#include "cli/client.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>

typedef struct CliCommand {
    const char *name;
    const char *usage;
    const char *help;
    CliRun *run;
} CliCommand;

static CliRun cli_help;

static const CliCommand cli_commands[] = {
    {"source", "--tap IF --vm ADDR --to HOST:PORT",
     "on the host that a VM leaves: ship what it does not get any more",
     cli_source},
    {"destination", "--tap IF --vm ADDR --listen [HOST]:PORT",
     "on the host that it comes to: take that in, and give it to the VM",
     cli_destination},
    {"mirror", "--tap IF (--to HOST:PORT | --write FILE.pcapng) [--bpf EXPR]",
     "copy a VM's frames elsewhere", cli_mirror},
    {"stats", "[NAME] [--watch N] [--format table|json|kv|prometheus]",
     "what the filters counted", cli_stats},
    {"top", "[--delay N]", "the same live, as a full screen", cli_top},
    {"report", "[REPORT.json...] [--html FILE] [--json]",
     "how the switchovers went", cli_report},
    {"qmp", "COMMAND [KEY=VALUE...]", "execute a QMP command", cli_qmp},
    {"shell", "", "an interactive QMP monitor, with completion", cli_shell},
    {"demo", "", "migrate a real guest, without and with tapferry", cli_demo},
    {"help", "[COMMAND]", "this, or the help of a command", cli_help},
};

static const CliCommand *cli_find(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(cli_commands); i++) {
        if (strcmp(cli_commands[i].name, name) == 0) {
            return &cli_commands[i];
        }
    }
    return NULL;
}

static bool cli_fail_unknown(const char *name, GError **errp)
{
    g_set_error(errp, CLIENT_ERROR, 0,
                "there is no command '%s' (tapferry help lists them)", name);
    return false;
}

bool cli_flush(GError **errp)
{
    bool ok = stdio_flush();

    if (!ok) {
        g_set_error(errp, CLIENT_ERROR, 0, "can not write the output");
    }
    return ok;
}

char **cli_parse(Cli *cli, int argc, char **argv, const char *usage,
                 const char *summary, const GOptionEntry *entries,
                 GError **errp)
{
    char *socket = NULL;
    const GOptionEntry common[] = {
        {"socket", 's', 0, G_OPTION_ARG_FILENAME, &socket,
         "The daemon's QMP socket (" CLI_DEFAULT_SOCKET ")", "PATH"},
        {NULL}};
    g_autoptr(GOptionContext) context = g_option_context_new(usage);
    g_autofree char *program = g_strdup_printf("tapferry %s", argv[0]);
    g_auto(GStrv) args = g_new0(char *, (gsize)argc + 1);

    /* GLib takes options out of the array and frees them. */
    for (int i = 0; i < argc; i++) {
        args[i] = g_strdup(argv[i]);
    }
    g_set_prgname(program);
    g_option_context_set_summary(context, summary);
    if (entries) {
        g_option_context_add_main_entries(context, entries, NULL);
    }
    g_option_context_add_main_entries(context, common, NULL);
    if (!g_option_context_parse_strv(context, &args, errp)) {
        g_prefix_error(errp, "%s: ", argv[0]);
        return NULL;
    }
    if (socket) {
        g_free(cli->socket);
        cli->socket = socket;
        cli->socket_given = true;
    }
    return g_strdupv(args + 1);
}

static void cli_print_help(void)
{
    printf("usage: tapferry [--socket PATH] COMMAND [ARGUMENT...]\n\n");
    for (size_t i = 0; i < G_N_ELEMENTS(cli_commands); i++) {
        const CliCommand *row = &cli_commands[i];

        printf("  %s %s\n        %s\n", row->name, row->usage, row->help);
    }
    printf("\n  --socket PATH  the daemon's QMP socket\n"
           "                 (default: " CLI_DEFAULT_SOCKET ")\n"
           "  --version      print the version\n");
}

static bool cli_help(Cli *cli, int argc, char **argv, GError **errp)
{
    const CliCommand *row;
    char help[] = "--help";
    char *args[] = {argc > 1 ? argv[1] : NULL, help, NULL};

    if (argc < 2) {
        cli_print_help();
        return true;
    }
    row = cli_find(argv[1]);
    if (!row) {
        return cli_fail_unknown(argv[1], errp);
    }
    if (row->run == cli_help) {
        cli_print_help();
        return true;
    }
    return row->run(cli, 2, args, errp); /* prints and exits */
}

/* Parses what stands before the command; sets @version. Returns where the
 * command is in @argv. */
static int cli_parse_global(Cli *cli, int argc, char **argv, bool *version,
                            bool *help, GError **errp)
{
    int i;

    for (i = 1; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "--version") == 0) {
            *version = true;
        } else if (strcmp(argv[i], "--help") == 0 ||
                   strcmp(argv[i], "-h") == 0) {
            *help = true;
        } else if (g_str_has_prefix(argv[i], "--socket=")) {
            g_free(cli->socket);
            cli->socket = g_strdup(argv[i] + strlen("--socket="));
            cli->socket_given = true;
        } else if (strcmp(argv[i], "--socket") == 0 && i + 1 < argc) {
            g_free(cli->socket);
            cli->socket = g_strdup(argv[++i]);
            cli->socket_given = true;
        } else {
            g_set_error(errp, CLIENT_ERROR, 0,
                        strcmp(argv[i], "--socket") == 0
                            ? "option %s lacks its PATH"
                            : "unknown option %s (tapferry help lists them)",
                        argv[i]);
            return -1;
        }
    }
    return i;
}

static bool cli_run(Cli *cli, int argc, char **argv, GError **errp)
{
    bool version = false;
    bool help = false;
    int at = cli_parse_global(cli, argc, argv, &version, &help, errp);
    const CliCommand *row;

    if (at < 0) {
        return false;
    }
    if (version) {
        printf("tapferry " TAPFERRY_VERSION "\n");
        return true;
    }
    if (help) {
        cli_print_help();
        return true;
    }
    if (at == argc) {
        g_set_error(errp, CLIENT_ERROR, 0,
                    "name a command (tapferry help lists them)");
        return false;
    }
    row = cli_find(argv[at]);
    return row ? row->run(cli, argc - at, argv + at, errp)
               : cli_fail_unknown(argv[at], errp);
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    Cli cli = {.socket = g_strdup(CLI_DEFAULT_SOCKET)};
    bool ok;

    stdio_reserve();
    setlocale(LC_ALL, "");
    ok = cli_run(&cli, argc, argv, &error) && cli_flush(&error);
    if (!ok && error->domain == TF_ERROR) {
        fprintf(stderr, "tapferry: %s: %s\n", tf_error_class(error),
                error->message);
    } else if (!ok) {
        fprintf(stderr, "tapferry: %s\n", error->message);
    }
    g_free(cli.socket);
    return ok ? 0 : 1;
}
