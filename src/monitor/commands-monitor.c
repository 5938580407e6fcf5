/* SPDX-License-Identifier: BSD-2-Clause */
/* The monitor itself and the daemon's run state. */
#include "monitor/command.h"

#include "monitor/hmp.h"
#include "monitor/qmp-session.h"
#include "monitor/run-state.h"
#include "monitor/schema.h"

static json_t *query_version(json_t *args, PropertySyntax syntax, GError **errp)
{
    return qmp_version();
}

static void query_commands_add(const Command *command, void *opaque)
{
    json_array_append_new(opaque, json_pack("{s:s}", "name", command->name));
}

static json_t *query_commands(json_t *args, PropertySyntax syntax,
                              GError **errp)
{
    json_t *list = json_array();

    command_foreach(query_commands_add, list);
    return list;
}

static json_t *query_qmp_schema(json_t *args, PropertySyntax syntax,
                                GError **errp)
{
    return schema_qmp();
}

static json_t *query_status(json_t *args, PropertySyntax syntax, GError **errp)
{
    const char *state = run_state_name();

    return json_pack("{s:s, s:b, s:b}", "status", state, "singlestep", 0,
                     "running", g_str_equal(state, "running"));
}

static json_t *stop(json_t *args, PropertySyntax syntax, GError **errp)
{
    run_state_set(false);
    return json_object();
}

static json_t *cont(json_t *args, PropertySyntax syntax, GError **errp)
{
    run_state_set(true);
    return json_object();
}

static json_t *quit(json_t *args, PropertySyntax syntax, GError **errp)
{
    run_state_shutdown("host-qmp-quit");
    return json_object();
}

static json_t *human_monitor_command(json_t *args, PropertySyntax syntax,
                                     GError **errp)
{
    g_autofree char *text = NULL;

    if (json_object_get(args, "cpu-index")) {
        tf_error_set(errp, "Parameter 'cpu-index' expects a CPU number");
        return NULL;
    }
    text =
        hmp_execute(json_string_value(json_object_get(args, "command-line")));
    return json_string(text);
}

static const Property qmp_capabilities_args[] = {
    {.name = "enable",
     .type = PROP_LIST,
     .doc = "capabilities of the greeting to be switched on"},
    PROP_END,
};

static const Property human_monitor_command_args[] = {
    COMMAND_ARG_STRING("command-line", PROP_REQUIRED, "what to execute"),
    {.name = "cpu-index", .type = PROP_INT, .doc = "refused: there is no CPU"},
    PROP_END,
};

const Command monitor_commands[] = {
    /* The session itself runs this one, and only once. */
    {"qmp_capabilities", qmp_capabilities_args, false, NULL,
     "Begin a QMP session"},
    {"query-version", NULL, false, query_version, "The program's version",
     "VersionInfo"},
    {"query-commands", NULL, false, query_commands, "List the commands",
     "[CommandInfo]"},
    {"query-qmp-schema", NULL, false, query_qmp_schema,
     "Commands, events and their types, for programs", "[SchemaInfo]"},
    {"query-status", NULL, false, query_status, "The daemon's run state",
     "StatusInfo"},
    {"stop", NULL, false, stop,
     "Stop: netdevs without a VM of their own count as stopped"},
    {"cont", NULL, false, cont, "Resume"},
    {"quit", NULL, false, quit, "End the daemon"},
    {"human-monitor-command", human_monitor_command_args, false,
     human_monitor_command, "Execute a command of the human monitor", "str"},
    {.name = NULL},
};
