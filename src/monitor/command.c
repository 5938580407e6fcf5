/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/command.h"

#include <string.h>

static const Command *const command_tables[] = {
    monitor_commands,
    object_commands,
    chardev_commands,
    device_commands,
};

const Command *command_find(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(command_tables); i++) {
        for (const Command *row = command_tables[i]; row->name; row++) {
            if (strcmp(row->name, name) == 0) {
                return row;
            }
        }
    }
    return NULL;
}

void command_foreach(void (*func)(const Command *command, void *opaque),
                     void *opaque)
{
    for (size_t i = 0; i < G_N_ELEMENTS(command_tables); i++) {
        for (const Command *row = command_tables[i]; row->name; row++) {
            func(row, opaque);
        }
    }
}

static bool command_has_arg(const Command *command, const char *name)
{
    for (const Property *row = command->args; row && row->name; row++) {
        if (strcmp(row->name, name) == 0) {
            return true;
        }
    }
    return false;
}

bool command_check(const Command *command, json_t *args, PropertySyntax syntax,
                   GError **errp)
{
    const char *key;
    json_t *value;

    for (const Property *row = command->args; row && row->name; row++) {
        value = json_object_get(args, row->name);
        if (value) {
            if (!property_check(row, value, syntax, errp)) {
                return false;
            }
        } else if (row->flags & PROP_REQUIRED &&
                   !(row->flags & COMMAND_ARG_LATE)) {
            return tf_error_set(errp, "Parameter '%s' is missing", row->name);
        }
    }
    json_object_foreach (args, key, value) {
        if (!command->open && !command_has_arg(command, key)) {
            return tf_error_set(errp, "Parameter '%s' is unexpected", key);
        }
    }
    return true;
}

json_t *command_execute(const char *name, json_t *args, PropertySyntax syntax,
                        GError **errp)
{
    const Command *command = command_find(name);

    if (!command || !command->run) {
        g_set_error(errp, TF_ERROR, TF_ERROR_COMMAND_NOT_FOUND,
                    "The command %s has not been found", name);
        return NULL;
    }
    if (!command_check(command, args, syntax, errp)) {
        return NULL;
    }
    return command->run(args, syntax, errp);
}
