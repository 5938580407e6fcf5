/* SPDX-License-Identifier: BSD-2-Clause */
/* tapferry shell: a QMP monitor with completion and history. */
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/qmp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <editline/readline.h>

#define SHELL_HISTORY_MAX 1000

/* For the completion, which has no place for a pointer of ours. */
static json_t *shell_schema;

/* Schema */

static json_t *shell_find(const char *meta, const char *name)
{
    json_t *entry;
    size_t i;

    json_array_foreach (shell_schema, i, entry) {
        const char *type =
            json_string_value(json_object_get(entry, "meta-type"));

        if (!g_strcmp0(type, meta) &&
            !g_strcmp0(json_string_value(json_object_get(entry, "name")),
                       name)) {
            return entry;
        }
    }
    return NULL;
}

/* The arguments of a command: a list of members, or NULL. */
static json_t *shell_members(const char *command)
{
    json_t *entry = shell_find("command", command);
    const char *type = json_string_value(json_object_get(entry, "arg-type"));

    return json_object_get(shell_find("object", type), "members");
}

static void shell_add_match(GPtrArray *matches, const char *name,
                            const char *start, const char *end)
{
    if (name && g_str_has_prefix(name, start)) {
        g_ptr_array_add(matches, g_strconcat(name, end, NULL));
    }
}

/* All that may stand where @start is, @line being what precedes it. */
static GPtrArray *shell_find_matches(const char *line, const char *start)
{
    GPtrArray *matches = g_ptr_array_new_with_free_func(g_free);
    g_auto(GStrv) words = g_strsplit_set(line, " \t", -1);
    json_t *entry;
    size_t i;

    if (!words[0] || !*g_strstrip(words[0])) {
        json_array_foreach (shell_schema, i, entry) {
            const char *meta =
                json_string_value(json_object_get(entry, "meta-type"));

            if (!g_strcmp0(meta, "command")) {
                shell_add_match(
                    matches, json_string_value(json_object_get(entry, "name")),
                    start, "");
            }
        }
        return matches;
    }
    json_array_foreach (shell_members(words[0]), i, entry) {
        shell_add_match(matches,
                        json_string_value(json_object_get(entry, "name")),
                        start, "=");
    }
    return matches;
}

static char *shell_next_match(const char *start, int state)
{
    static GPtrArray *matches;
    static guint next;

    if (state == 0) {
        g_autofree char *line = g_strndup(
            rl_line_buffer, (gsize)MAX(rl_point - (int)strlen(start), 0));

        g_clear_pointer(&matches, g_ptr_array_unref);
        matches = shell_find_matches(line, start);
        next = 0;
    }
    /* libedit frees it. */
    return matches && next < matches->len ? strdup(matches->pdata[next++])
                                          : NULL;
}

static char **shell_complete(const char *text, int start, int end)
{
    char **matches = rl_completion_matches(text, shell_next_match);

    rl_attempted_completion_over = 1; /* no file names */
    rl_completion_append_character =
        matches && g_str_has_suffix(matches[0], "=") ? '\0' : ' ';
    return matches;
}

/* Lines */

static void shell_print(json_t *value)
{
    char *text = json_dumps(value, JSON_INDENT(2) | JSON_ENCODE_ANY);

    printf("%s\n", text ? text : "");
    free(text);
}

/* What happened since the last line. */
static bool shell_print_events(Client *client, GError **errp)
{
    json_t *event = NULL;

    do {
        if (!client_next_event(client, 0, &event, errp)) {
            return false;
        }
        if (event) {
            shell_print(event);
            json_decref(event);
        }
    } while (event);
    return true;
}

/* COMMAND KEY=VALUE..., or a QMP request as JSON. Takes neither. */
static bool shell_read_request(const char *line, char **command, json_t *args,
                               GError **errp)
{
    g_auto(GStrv) words = NULL;

    if (*line == '{') {
        json_error_t error;
        json_auto_t *request = json_loads(line, 0, &error);
        const char *name =
            json_string_value(json_object_get(request, "execute"));

        if (!name) {
            g_set_error(errp, CLIENT_ERROR, CLIENT_FAILED,
                        "give {\"execute\": …}: %s",
                        request ? "there is none" : error.text);
            return false;
        }
        json_object_update(args, json_object_get(request, "arguments"));
        *command = g_strdup(name);
        return true;
    }
    if (!g_shell_parse_argv(line, NULL, &words, errp)) {
        return false;
    }
    *command = g_strdup(words[0]);
    return qmp_parse_args(args, words + 1, errp);
}

/* An error of the line is said and forgotten. False: the daemon is gone, which
 * is an error unless the line was to end it. */
static bool shell_run_line(Client *client, const char *line, GError **errp)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *command = NULL;
    json_auto_t *args = json_object();
    json_auto_t *result = NULL;

    if (shell_read_request(line, &command, args, &error)) {
        result = client_execute(client, command, args, &error);
    }
    if (result) {
        shell_print(result);
        if (strcmp(command, "quit") == 0) {
            return false;
        }
    } else if (command && error->domain == CLIENT_ERROR &&
               !client_next_event(client, 0, &result, NULL)) {
        g_propagate_error(errp, g_steal_pointer(&error));
        return false;
    } else {
        fprintf(stderr, "%s\n", error->message);
    }
    return shell_print_events(client, errp);
}

/* The next line, owned (malloc); NULL: the end. */
static char *shell_read_line(bool terminal)
{
    char *line = NULL;
    size_t size = 0;

    if (terminal) {
        return readline("(tapferry) ");
    }
    if (getline(&line, &size, stdin) < 0) {
        free(line);
        return NULL;
    }
    return line;
}

static bool shell_loop(Client *client, bool terminal, GError **errp)
{
    g_autoptr(GError) error = NULL;
    bool going = true;
    char *line;

    while (going && (line = shell_read_line(terminal))) {
        const char *text = g_strstrip(line);

        if (strcmp(text, "exit") == 0) {
            free(line);
            break;
        }
        if (*text) {
            if (terminal) {
                add_history(text);
            }
            going = shell_run_line(client, text, &error);
            fflush(stdout);
        }
        free(line);
    }
    if (error) {
        g_propagate_error(errp, g_steal_pointer(&error));
        return false;
    }
    return true;
}

static char *shell_history_file(void)
{
    g_autofree char *dir =
        g_build_filename(g_get_user_state_dir(), "tapferry", NULL);

    g_mkdir_with_parents(dir, 0700);
    return g_build_filename(dir, "history", NULL);
}

static bool shell_interact(Client *client, GError **errp)
{
    g_autofree char *file = shell_history_file();
    bool ok;

    rl_readline_name = (char *)"tapferry";
    rl_attempted_completion_function = shell_complete;
    using_history();
    stifle_history(SHELL_HISTORY_MAX);
    read_history(file);
    printf("COMMAND KEY=VALUE...; Tab completes, Ctrl-D ends\n");
    ok = shell_loop(client, true, errp);
    write_history(file);
    printf("\n");
    return ok;
}

bool cli_shell(Cli *cli, int argc, char **argv, GError **errp)
{
    g_auto(GStrv) words = cli_parse(
        cli, argc, argv, NULL,
        "Executes QMP commands line by line: COMMAND KEY=VALUE..., or JSON. "
        "Tab completes\ncommands and their arguments; events are shown as "
        "they come to light.",
        NULL, errp);
    g_autoptr(Client) client = NULL;
    bool ok;

    if (!words || !(client = client_open(cli->socket, errp))) {
        return false;
    }
    shell_schema = client_execute(client, "query-qmp-schema", NULL, NULL);
    ok = isatty(STDIN_FILENO) ? shell_interact(client, errp)
                              : shell_loop(client, false, errp);
    json_decref(shell_schema);
    return ok;
}
