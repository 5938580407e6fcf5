/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/hmp.h"

#include "base/error.h"
#include "base/version.h"
#include "monitor/command.h"
#include "monitor/line-editor.h"
#include "object/keyval.h"

#include <stdlib.h>
#include <string.h>

#define HMP_MAX_WORDS 8
#define HMP_PROMPT "(tapferry) "

struct HmpSession {
    LineEditor *editor;
    HmpSessionOutput *output;
    void *opaque;
};

static void hmp_error(GString *out, const GError *error)
{
    g_string_append_printf(out, "Error: %s\n", error->message);
}

static json_t *hmp_call_syntax(GString *out, const char *command, json_t *args,
                               PropertySyntax syntax)
{
    g_autoptr(GError) error = NULL;
    json_t *result = command_execute(command, args, syntax, &error);

    json_decref(args);
    if (!result) {
        hmp_error(out, error);
    }
    return result;
}

json_t *hmp_call(GString *out, const char *command, json_t *args)
{
    return hmp_call_syntax(out, command, args, PROP_SYNTAX_TEXT);
}

/* For commands that return nothing. */
static void hmp_do(GString *out, const char *command, json_t *args)
{
    json_decref(hmp_call(out, command, args));
}

/* For commands that take an option's value. */
static void hmp_do_option(GString *out, const char *command, const char *text,
                          const char *implied)
{
    g_autoptr(GError) error = NULL;
    PropertySyntax syntax;
    json_t *args = keyval_parse(text, implied, &syntax, &error);

    if (!args) {
        hmp_error(out, error);
        return;
    }
    json_decref(hmp_call_syntax(out, command, args, syntax));
}

static void hmp_object_add(GString *out, char **argv)
{
    hmp_do_option(out, "object-add", argv[0], "qom-type");
}

static void hmp_object_del(GString *out, char **argv)
{
    hmp_do(out, "object-del", json_pack("{s:s}", "id", argv[0]));
}

static void hmp_chardev_add(GString *out, char **argv)
{
    hmp_do_option(out, "chardev-add", argv[0], "backend");
}

static void hmp_chardev_remove(GString *out, char **argv)
{
    hmp_do(out, "chardev-remove", json_pack("{s:s}", "id", argv[0]));
}

static void hmp_netdev_add(GString *out, char **argv)
{
    hmp_do_option(out, "netdev_add", argv[0] ? argv[0] : "", "type");
}

static void hmp_netdev_del(GString *out, char **argv)
{
    hmp_do(out, "netdev_del", json_pack("{s:s}", "id", argv[0]));
}

static void hmp_qom_list(GString *out, char **argv)
{
    json_auto_t *list = NULL;
    json_t *entry;
    size_t i;

    if (!argv[0]) {
        g_string_append(out, "/\n");
        return;
    }
    list = hmp_call(out, "qom-list", json_pack("{s:s}", "path", argv[0]));
    json_array_foreach (list, i, entry) {
        g_string_append_printf(
            out, "%s (%s)\n", json_string_value(json_object_get(entry, "name")),
            json_string_value(json_object_get(entry, "type")));
    }
}

static void hmp_qom_get(GString *out, char **argv)
{
    json_auto_t *value =
        hmp_call(out, "qom-get",
                 json_pack("{s:s, s:s}", "path", argv[0], "property", argv[1]));
    char *text =
        value ? json_dumps(value, JSON_ENCODE_ANY | JSON_INDENT(4)) : NULL;

    if (text) {
        g_string_append_printf(out, "%s\n", text);
        free(text);
    }
}

static void hmp_qom_set(GString *out, char **argv)
{
    hmp_do(out, "qom-set",
           json_pack("{s:s, s:s, s:s}", "path", argv[0], "property", argv[1],
                     "value", argv[2]));
}

static void hmp_stop(GString *out, char **argv)
{
    hmp_do(out, "stop", NULL);
}

static void hmp_cont(GString *out, char **argv)
{
    hmp_do(out, "cont", NULL);
}

static void hmp_quit(GString *out, char **argv)
{
    hmp_do(out, "quit", NULL);
}

/* Is @word one of the names in "name|alias"? */
static bool hmp_is_named(const HmpCommand *row, const char *word)
{
    g_auto(GStrv) names = g_strsplit(row->name, "|", -1);

    return g_strv_contains((const char *const *)names, word);
}

const HmpCommand *hmp_find(const HmpCommand *table, const char *word)
{
    for (const HmpCommand *row = table; row->name; row++) {
        if (hmp_is_named(row, word)) {
            return row;
        }
    }
    return NULL;
}

static void hmp_help_row(GString *out, const char *prefix,
                         const HmpCommand *row)
{
    g_string_append_printf(out, "%s%s %s -- %s\n", prefix, row->name,
                           row->params, row->help);
}

static void hmp_help_info(GString *out)
{
    for (const HmpCommand *row = hmp_info_commands; row->name; row++) {
        hmp_help_row(out, "info ", row);
    }
}

static void hmp_help(GString *out, char **argv)
{
    const HmpCommand *row = argv[0] ? hmp_find(hmp_commands, argv[0]) : NULL;

    if (!argv[0]) {
        for (row = hmp_commands; row->name; row++) {
            hmp_help_row(out, "", row);
        }
    } else if (!row) {
        g_string_append_printf(out, "unknown command: '%s'\n", argv[0]);
    } else if (strcmp(row->name, "info") != 0) {
        hmp_help_row(out, "", row);
    } else if (!argv[1]) {
        hmp_help_info(out);
    } else if ((row = hmp_find(hmp_info_commands, argv[1]))) {
        hmp_help_row(out, "info ", row);
    } else {
        g_string_append_printf(out, "unknown command: 'info %s'\n", argv[1]);
    }
}

const HmpCommand hmp_commands[] = {
    {"help|?", "[cmd]", "show the help", 0, 2, false, hmp_help,
     HMP_ARGUMENT_COMMAND},
    /* hmp_execute() looks up the word behind it by itself. */
    {"info", "[subcommand]", "show information", 0, 0, false, NULL},
    {"object_add", "[qom-type=]type,id=str[,prop=value][,...]",
     "create an object", 1, 1, true, hmp_object_add, HMP_ARGUMENT_OPTION,
     OBJECT_KIND_OBJECT},
    {"object_del", "id", "delete an object", 1, 1, false, hmp_object_del,
     HMP_ARGUMENT_ID, OBJECT_KIND_OBJECT},
    {"qom-list", "[path]", "list an object's properties", 0, 1, false,
     hmp_qom_list, HMP_ARGUMENT_QOM},
    {"qom-get", "path property", "print a property", 2, 2, false, hmp_qom_get,
     HMP_ARGUMENT_QOM},
    {"qom-set", "path property value", "set a property", 3, 3, true,
     hmp_qom_set, HMP_ARGUMENT_QOM},
    {"chardev-add", "[backend=]type,id=str[,prop=value][,...]",
     "add a character device", 1, 1, true, hmp_chardev_add, HMP_ARGUMENT_OPTION,
     OBJECT_KIND_CHARDEV},
    {"chardev-remove", "id", "remove a character device", 1, 1, false,
     hmp_chardev_remove, HMP_ARGUMENT_ID, OBJECT_KIND_CHARDEV},
    {"netdev_add", "[type=]type,id=str[,prop=value][,...]", "add a netdev", 0,
     1, true, hmp_netdev_add, HMP_ARGUMENT_OPTION, OBJECT_KIND_NETDEV},
    {"netdev_del", "id", "remove a netdev and the filters on it", 1, 1, false,
     hmp_netdev_del, HMP_ARGUMENT_ID, OBJECT_KIND_NETDEV},
    {"stop|s", "", "stop", 0, 0, false, hmp_stop},
    {"cont|c", "", "resume", 0, 0, false, hmp_cont},
    {"quit|q", "", "end the daemon", 0, 0, false, hmp_quit},
    {.name = NULL},
};

static const char *hmp_skip_spaces(const char *p)
{
    while (g_ascii_isspace(*p)) {
        p++;
    }
    return p;
}

/* Takes one word, perhaps in double quotes, off @p; NULL if there is none. */
static char *hmp_next_word(const char **p, GString *out)
{
    const char *s = hmp_skip_spaces(*p);
    GString *word = g_string_new(NULL);
    bool quoted = *s == '"';

    s += quoted;
    while (*s && (quoted ? *s != '"' : !g_ascii_isspace(*s))) {
        if (quoted && *s == '\\' && s[1]) {
            s++;
        }
        g_string_append_c(word, *s++);
    }
    if (quoted && *s != '"') {
        g_string_append(out, "unterminated string\n");
        g_string_truncate(word, 0);
        quoted = false;
    }
    *p = s + quoted;
    return g_string_free(word, word->len == 0 && !quoted);
}

/* Splits the arguments as @row wants them; false and a hint if they do not
 * fit. @words has room for HMP_MAX_WORDS and a NULL. */
static bool hmp_split(const HmpCommand *row, const char *args, GString *out,
                      char **words)
{
    unsigned n = 0;
    const char *p = hmp_skip_spaces(args);

    while (*p && n < row->max) {
        if (row->rest && n + 1 == row->max) {
            words[n++] = g_strchomp(g_strdup(p));
            p = "";
            break;
        }
        words[n] = hmp_next_word(&p, out);
        if (!words[n]) {
            break;
        }
        n++;
        p = hmp_skip_spaces(p);
    }
    if (n < row->min) {
        g_string_append_printf(out, "%s: string expected\n", row->name);
    } else if (*p) {
        g_string_append_printf(
            out, "%s: extraneous characters at the end of line\n", row->name);
    } else {
        return true;
    }
    return false;
}

/* @typed is what names the command, as it was typed. */
static void hmp_run(const HmpCommand *row, const char *typed, const char *args,
                    GString *out)
{
    char *words[HMP_MAX_WORDS + 1] = {NULL};

    if (hmp_split(row, args, out, words)) {
        row->run(out, words);
    } else {
        g_string_append_printf(out, "Try \"help %s\" for more information\n",
                               typed);
    }
    for (unsigned i = 0; words[i]; i++) {
        g_free(words[i]);
    }
}

static const char *hmp_skip_word(const char *p)
{
    return p + strcspn(p, " \t\r\n\v\f");
}

/* Looks the command up and runs it. */
static void hmp_dispatch(const char *line, GString *out)
{
    const char *start = hmp_skip_spaces(line);
    const char *end = hmp_skip_word(start);
    g_autofree char *word = g_strndup(start, (gsize)(end - start));
    g_autofree char *typed = NULL;
    const HmpCommand *row = hmp_find(hmp_commands, word);

    if (!*word) {
        return;
    }
    if (row && strcmp(row->name, "info") == 0) {
        const char *sub = hmp_skip_spaces(end);

        if (!*sub) {
            hmp_help_info(out);
            return;
        }
        end = hmp_skip_word(sub);
        g_free(word);
        word = g_strndup(sub, (gsize)(end - sub));
        row = hmp_find(hmp_info_commands, word);
    }
    typed = g_strndup(start, (gsize)(end - start));
    if (row) {
        hmp_run(row, typed, end, out);
    } else {
        g_string_append_printf(out, "unknown command: '%s'\n", typed);
    }
}

char *hmp_execute(const char *line)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autofree char *valid = g_utf8_make_valid(line, -1);

    hmp_dispatch(valid, out);
    g_string_replace(out, "\n", "\r\n", 0);
    return g_utf8_make_valid(out->str, (gssize)out->len);
}

static void hmp_session_print(HmpSession *session, const char *text)
{
    session->output(session->opaque, text, strlen(text));
}

static void hmp_session_line(void *opaque, const char *line)
{
    HmpSession *session = opaque;
    g_autofree char *text =
        line ? hmp_execute(line) : g_strdup("Error: the line is too long\r\n");

    hmp_session_print(session, text);
    line_editor_prompt(session->editor);
}

static void hmp_session_output(void *opaque, const char *data, size_t size)
{
    HmpSession *session = opaque;

    session->output(session->opaque, data, size);
}

static void hmp_session_complete(void *opaque, const char *line,
                                 GPtrArray *words)
{
    hmp_complete(line, words);
}

static const LineEditorHandlers hmp_editor_handlers = {
    .output = hmp_session_output,
    .line = hmp_session_line,
    .complete = hmp_session_complete,
};

HmpSession *hmp_session_new(bool terminal, HmpSessionOutput *output,
                            void *opaque)
{
    HmpSession *session = g_new0(HmpSession, 1);

    session->output = output;
    session->opaque = opaque;
    session->editor = line_editor_new(HMP_PROMPT, HMP_MAX_LINE,
                                      &hmp_editor_handlers, session);
    if (terminal) {
        line_editor_set_interactive(session->editor);
    }
    hmp_session_print(session,
                      "tapferry " TAPFERRY_VERSION
                      " monitor - type 'help' for more information\r\n");
    line_editor_prompt(session->editor);
    return session;
}

void hmp_session_free(HmpSession *session)
{
    line_editor_free(session->editor);
    g_free(session);
}

void hmp_session_feed(HmpSession *session, const char *data, size_t size)
{
    line_editor_feed(session->editor, data, size);
}
