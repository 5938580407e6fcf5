/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/options.h"

#include "base/version.h"
#include "daemon/help.h"
#include "monitor/server.h"
#include "object/keyval.h"

#include <string.h>

typedef struct Option {
    const char *name; /* without dashes */
    const char *arg;  /* what its argument is called; NULL for none */
    const char *help;
    bool (*parse)(Options *options, const char *text, const char *arg,
                  GError **errp);
} Option;

static void option_item_free(void *opaque)
{
    OptionItem *item = opaque;

    g_free(item->text);
    json_decref(item->args);
    g_free(item);
}

static void option_monitor_free(void *opaque)
{
    OptionMonitor *monitor = opaque;

    g_free(monitor->text);
    g_free(monitor->device);
    g_free(monitor);
}

void options_init(Options *options)
{
    *options = (Options){
        .monitors = g_ptr_array_new_with_free_func(option_monitor_free),
    };
    for (unsigned i = 0; i < OPTION_STAGE__MAX; i++) {
        options->items[i] = g_ptr_array_new_with_free_func(option_item_free);
    }
}

void options_clear(Options *options)
{
    for (unsigned i = 0; i < OPTION_STAGE__MAX; i++) {
        g_ptr_array_unref(options->items[i]);
    }
    g_ptr_array_unref(options->monitors);
    g_free(options->pidfile);
    g_free(options->logfile);
    g_free(options->readconfig);
    g_free(options->user);
    g_free(options->print);
    *options = (Options){0};
}

/* Is @args "help", "TYPE,help" or "?"? Then options->print is set. */
static bool option_wants_help(Options *options, ObjectKind kind, json_t *args,
                              const char *implied)
{
    const char *type = json_string_value(json_object_get(args, implied));
    const ObjectClass *class = type ? object_class_find(kind, type) : NULL;

    if (g_strcmp0(type, "help") == 0 || g_strcmp0(type, "?") == 0) {
        options->print = help_types(kind);
    } else if (class &&
               (json_object_get(args, "help") || json_object_get(args, "?"))) {
        options->print = help_type(class);
    }
    return options->print != NULL;
}

/* Reads the value of -object, -chardev or -netdev; NULL and no error if it
 * asks for help. */
static OptionItem *option_item_new(Options *options, ObjectKind kind,
                                   const char *text, const char *arg,
                                   const char *implied, GError **errp)
{
    PropertySyntax syntax;
    json_t *args = keyval_parse(arg, implied, &syntax, errp);
    OptionItem *item;

    if (!args) {
        return NULL;
    }
    if (syntax == PROP_SYNTAX_TEXT &&
        option_wants_help(options, kind, args, implied)) {
        json_decref(args);
        return NULL;
    }
    item = g_new0(OptionItem, 1);
    item->text = g_strdup(text);
    item->args = args;
    item->syntax = syntax;
    return item;
}

/* There is no item: because of an error, or because help was asked for. */
static bool option_item_done(GError *error, GError **errp)
{
    if (error) {
        g_propagate_error(errp, error);
    }
    return !error;
}

static OptionStage option_object_stage(const OptionItem *item)
{
    static const OptionStage stages[OBJECT_ORDER__MAX] = {
        [OBJECT_ORDER_FIRST] = OPTION_STAGE_FIRST,
        [OBJECT_ORDER_BEHIND_CHARDEVS] = OPTION_STAGE_BEHIND_CHARDEVS,
        [OBJECT_ORDER_BEHIND_NETDEVS] = OPTION_STAGE_BEHIND_NETDEVS,
    };
    const char *type =
        json_string_value(json_object_get(item->args, "qom-type"));
    const ObjectClass *class =
        type ? object_class_find(OBJECT_KIND_OBJECT, type) : NULL;

    while (class && class->order == OBJECT_ORDER_FIRST) {
        class = class->parent;
    }
    return stages[class ? class->order : OBJECT_ORDER_FIRST];
}

static bool option_object(Options *options, const char *text, const char *arg,
                          GError **errp)
{
    GError *error = NULL;
    OptionItem *item = option_item_new(options, OBJECT_KIND_OBJECT, text, arg,
                                       "qom-type", &error);

    if (item) {
        item->command = "object-add";
        g_ptr_array_add(options->items[option_object_stage(item)], item);
    }
    return item || option_item_done(error, errp);
}

/* Brings {"backend": TYPE, "id": ID, ...} into the form of chardev-add. */
static void option_nest_backend(OptionItem *item)
{
    json_t *type = json_object_get(item->args, "backend");
    json_t *id = json_object_get(item->args, "id");
    json_t *args;

    if (item->syntax != PROP_SYNTAX_JSON || !json_is_string(type)) {
        return;
    }
    args = json_pack("{s:{s:O, s:O}}", "backend", "type", type, "data",
                     item->args);
    if (id) {
        json_object_set(args, "id", id);
    }
    json_object_del(item->args, "backend");
    json_object_del(item->args, "id");
    json_decref(item->args);
    item->args = args;
}

static bool option_chardev(Options *options, const char *text, const char *arg,
                           GError **errp)
{
    GError *error = NULL;
    OptionItem *item = option_item_new(options, OBJECT_KIND_CHARDEV, text, arg,
                                       "backend", &error);

    if (item) {
        item->command = "chardev-add";
        option_nest_backend(item);
        g_ptr_array_add(options->items[OPTION_STAGE_CHARDEVS], item);
    }
    return item || option_item_done(error, errp);
}

static bool option_netdev(Options *options, const char *text, const char *arg,
                          GError **errp)
{
    GError *error = NULL;
    OptionItem *item =
        option_item_new(options, OBJECT_KIND_NETDEV, text, arg, "type", &error);

    if (item) {
        item->command = "netdev_add";
        g_ptr_array_add(options->items[OPTION_STAGE_NETDEVS], item);
    }
    return item || option_item_done(error, errp);
}

static void option_add_monitor(Options *options, const char *text,
                               const char *device, MonitorMode mode)
{
    OptionMonitor *monitor = g_new0(OptionMonitor, 1);

    monitor->text = g_strdup(text);
    monitor->device = g_strdup(device);
    monitor->mode = mode;
    g_ptr_array_add(options->monitors, monitor);
}

static bool option_qmp(Options *options, const char *text, const char *arg,
                       GError **errp)
{
    if (!monitor_check(arg, errp)) {
        return false;
    }
    option_add_monitor(options, text, arg, (MonitorMode){.control = true});
    return true;
}

static bool option_monitor(Options *options, const char *text, const char *arg,
                           GError **errp)
{
    if (!monitor_check(arg, errp)) {
        return false;
    }
    option_add_monitor(options, text, arg, (MonitorMode){.control = false});
    return true;
}

/* -mon chardev=ID,mode=control,pretty=on */
typedef struct OptionMon {
    char *chardev;
    int mode;
    bool pretty;
} OptionMon;

enum { OPTION_MON_READLINE, OPTION_MON_CONTROL };

static const char *const option_mon_modes[] = {"readline", "control", NULL};

static const Property option_mon_rows[] = {
    {.name = "chardev",
     PROP_FIELD_STRING(OptionMon, chardev),
     .flags = PROP_REQUIRED},
    {.name = "mode",
     PROP_FIELD_ENUM(OptionMon, mode),
     .values = option_mon_modes},
    {.name = "pretty", PROP_FIELD_BOOL(OptionMon, pretty)},
    PROP_END,
};

static bool option_mon_fill(OptionMon *mon, json_t *args, PropertySyntax syntax,
                            GError **errp)
{
    const char *key;

    for (const Property *row = option_mon_rows; row->name; row++) {
        json_t *value = json_object_get(args, row->name);

        if (value && !property_set(mon, row, value, syntax, errp)) {
            return false;
        }
        if (!value && row->flags & PROP_REQUIRED) {
            return tf_error_set(errp, "Parameter '%s' is missing", row->name);
        }
        json_object_del(args, row->name);
    }
    key = json_object_iter_key(json_object_iter(args));
    return !key || tf_error_set(errp, "Invalid parameter '%s'", key);
}

static bool option_mon(Options *options, const char *text, const char *arg,
                       GError **errp)
{
    PropertySyntax syntax;
    json_auto_t *args = keyval_parse(arg, "chardev", &syntax, errp);
    OptionMon mon = {0};
    bool ok = args && option_mon_fill(&mon, args, syntax, errp);

    if (ok) {
        g_autofree char *device = g_strconcat("chardev:", mon.chardev, NULL);
        MonitorMode mode = {.control = mon.mode == OPTION_MON_CONTROL,
                            .pretty = mon.pretty};

        option_add_monitor(options, text, device, mode);
    }
    g_free(mon.chardev);
    return ok;
}

static bool option_stopped(Options *options, const char *text, const char *arg,
                           GError **errp)
{
    options->stopped = true;
    return true;
}

static bool option_daemonize(Options *options, const char *text,
                             const char *arg, GError **errp)
{
    options->daemonize = true;
    return true;
}

static bool option_sandbox(Options *options, const char *text, const char *arg,
                           GError **errp)
{
    options->sandbox = strcmp(arg, "on") == 0;
    return options->sandbox || strcmp(arg, "off") == 0 ||
           tf_error_set(errp, "expects 'on' or 'off'");
}

static bool option_user(Options *options, const char *text, const char *arg,
                        GError **errp)
{
    g_free(options->user);
    options->user = g_strdup(arg);
    return *arg || tf_error_set(errp, "expects a user's name");
}

static bool option_set_path(char **path, const char *arg, GError **errp)
{
    if (!*arg) {
        return tf_error_set(errp, "expects a file's name");
    }
    g_free(*path);
    *path = g_strdup(arg);
    return true;
}

static bool option_pidfile(Options *options, const char *text, const char *arg,
                           GError **errp)
{
    return option_set_path(&options->pidfile, arg, errp);
}

static bool option_logfile(Options *options, const char *text, const char *arg,
                           GError **errp)
{
    return option_set_path(&options->logfile, arg, errp);
}

static bool option_readconfig(Options *options, const char *text,
                              const char *arg, GError **errp)
{
    return option_set_path(&options->readconfig, arg, errp);
}

static bool option_dump_schema(Options *options, const char *text,
                               const char *arg, GError **errp)
{
    options->print = help_schema();
    return true;
}

static bool option_version(Options *options, const char *text, const char *arg,
                           GError **errp)
{
    options->print = g_strdup("tapferryd " TAPFERRY_VERSION "\n");
    return true;
}

static bool option_help(Options *options, const char *text, const char *arg,
                        GError **errp);

static const Option option_rows[] = {
    {"object", "TYPE,id=ID[,PROP=VALUE...]",
     "make an object (-object help, -object TYPE,help)", option_object},
    {"chardev", "TYPE,id=ID[,PROP=VALUE...]",
     "make a character device (-chardev help)", option_chardev},
    {"netdev", "TYPE,id=ID[,PROP=VALUE...]", "make a netdev (-netdev help)",
     option_netdev},
    {"qmp", "DEV", "open a QMP monitor on DEV", option_qmp},
    {"monitor", "DEV", "open a human monitor on DEV", option_monitor},
    {"mon", "chardev=ID[,mode=control|readline][,pretty=on|off]",
     "open a monitor on a chardev", option_mon},
    {"S", NULL, "start stopped", option_stopped},
    {"daemonize", NULL, "run in the background once ready", option_daemonize},
    {"pidfile", "FILE", "write the process id to FILE", option_pidfile},
    {"D", "LOGFILE", "append log lines to LOGFILE", option_logfile},
    {"readconfig", "FILE", "execute the QMP commands of the JSON array in FILE",
     option_readconfig},
    {"sandbox", "on|off", "once ready, refuse system calls that are not needed",
     option_sandbox},
    {"user", "NAME",
     "run as NAME; once ready, keep only CAP_NET_RAW, CAP_NET_ADMIN and "
     "CAP_SYS_PTRACE",
     option_user},
    {"dump-schema", NULL, "print types, properties and commands as JSON",
     option_dump_schema},
    {"help", NULL, "print this", option_help},
    {"h", NULL, "print this", option_help},
    {"version", NULL, "print the version", option_version},
};

static bool option_help(Options *options, const char *text, const char *arg,
                        GError **errp)
{
    GString *out = g_string_new("usage: tapferryd [OPTION...]\n\n");

    for (size_t i = 0; i < G_N_ELEMENTS(option_rows); i++) {
        const Option *row = &option_rows[i];

        g_string_append_printf(out, "  -%s%s%s\n        %s\n", row->name,
                               row->arg ? " " : "", row->arg ? row->arg : "",
                               row->help);
    }
    g_string_append(
        out, "\nDEV is stdio, chardev:ID, or unix:PATH or tcp:HOST:PORT with "
             "\",server=on,wait=off\"\nbehind it. A value may also be a JSON "
             "object; a comma inside a value is doubled.\n");
    options->print = g_string_free(out, FALSE);
    return true;
}

static const Option *option_find(const char *word)
{
    const char *name;

    if (word[0] != '-') {
        return NULL;
    }
    name = word + (word[1] == '-' ? 2 : 1);
    for (size_t i = 0; i < G_N_ELEMENTS(option_rows); i++) {
        if (strcmp(option_rows[i].name, name) == 0) {
            return &option_rows[i];
        }
    }
    return NULL;
}

/* Puts the option in front of an error, which is taken. */
static bool option_fail(GError **errp, const char *text, GError *error)
{
    tf_error_set(errp, "%s: %s", text, error->message);
    g_error_free(error);
    return false;
}

static bool options_check(const Options *options, GError **errp)
{
    for (guint i = 0; options->daemonize && i < options->monitors->len; i++) {
        const OptionMonitor *monitor = options->monitors->pdata[i];

        if (strcmp(monitor->device, "stdio") == 0) {
            return tf_error_set(errp, "%s: cannot use stdio with -daemonize",
                                monitor->text);
        }
    }
    return true;
}

bool options_parse(Options *options, int argc, char **argv, GError **errp)
{
    for (int i = 1; i < argc && !options->print; i++) {
        const Option *row = option_find(argv[i]);
        g_autofree char *text = g_strdup(argv[i]);
        const char *arg = NULL;
        GError *error = NULL;

        if (!row) {
            tf_error_set(&error, "invalid option");
            return option_fail(errp, text, error);
        }
        if (row->arg) {
            arg = argv[++i];
            if (i == argc) {
                tf_error_set(&error, "requires an argument");
                return option_fail(errp, text, error);
            }
            g_free(text);
            text = g_strdup_printf("-%s %s", row->name, arg);
        }
        if (!row->parse(options, text, arg, &error)) {
            return option_fail(errp, text, error);
        }
    }
    return options->print || options_check(options, errp);
}

void options_schema(json_t *schema)
{
    for (size_t i = 0; i < G_N_ELEMENTS(option_rows); i++) {
        const Option *row = &option_rows[i];
        json_t *entry =
            json_pack("{s:s, s:s}", "name", row->name, "doc", row->help);

        if (row->arg) {
            json_object_set_new(entry, "argument", json_string(row->arg));
        }
        json_array_append_new(schema, entry);
    }
}
