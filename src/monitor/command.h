/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Monitor commands: one table row each, whose argument rows are checked in
 * one place. QMP, the human monitor, -readconfig and the command line's
 * -object, -chardev and -netdev all go through command_execute().
 * Main thread only.
 */
#ifndef TF_MONITOR_COMMAND_H
#define TF_MONITOR_COMMAND_H

#include "object/object.h"

typedef struct Command {
    const char *name;
    const Property *args; /* NULL for none */
    bool open;            /* more arguments: properties of what is made */
    /* @args has passed the check and is borrowed. Returns what the command
     * returns, owned; NULL means an error. */
    json_t *(*run)(json_t *args, PropertySyntax syntax, GError **errp);
    const char *doc;     /* one sentence */
    const char *returns; /* its type for the schema (schema-types.c), "str" or
                            "any"; NULL for nothing */
} Command;

/* The tables, each ended by a row without a name. */
extern const Command monitor_commands[]; /* commands-monitor.c */
extern const Command object_commands[];  /* commands-object.c */
extern const Command chardev_commands[]; /* commands-chardev.c */
extern const Command device_commands[];  /* commands-device.c */

const Command *command_find(const char *name);
void command_foreach(void (*func)(const Command *command, void *opaque),
                     void *opaque);

/*
 * Runs the command @name; @args (borrowed) may be NULL. Errors have the class
 * and the words that a QMP client gets. With PROP_SYNTAX_TEXT the arguments
 * are strings, as on a command line.
 */
json_t *command_execute(const char *name, json_t *args, PropertySyntax syntax,
                        GError **errp);

/* Checks @args against the command's rows; for a caller that runs it itself. */
bool command_check(const Command *command, json_t *args, PropertySyntax syntax,
                   GError **errp);

/* Beside PROP_REQUIRED: the command itself says that the argument is missing,
 * after it has looked at others. */
#define COMMAND_ARG_LATE (1 << 8)

/* Argument rows that are strings everywhere. */
#define COMMAND_ARG_STRING(n, f, d)                                            \
    {                                                                          \
        .name = (n), .type = PROP_STRING, .flags = (f), .doc = (d)             \
    }

#endif
