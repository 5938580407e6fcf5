/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/help.h"

#include "base/version.h"
#include "daemon/options.h"
#include "monitor/command.h"
#include "monitor/hmp.h"
#include "monitor/qom.h"

#include <stdlib.h>

char *help_types(ObjectKind kind)
{
    static const char *const titles[] = {
        [OBJECT_KIND_OBJECT] = "List of user creatable objects:",
        [OBJECT_KIND_CHARDEV] = "Available chardev backend types:",
        [OBJECT_KIND_NETDEV] = "Available netdev backend types:",
    };
    const ObjectClass *const *row = object_classes(kind);
    GString *out = g_string_new(titles[kind]);

    for (g_string_append_c(out, '\n'); *row; row++) {
        const char *doc = (*row)->doc;

        g_string_append_printf(out, "  %-20s%s%s\n", (*row)->name,
                               doc ? " - " : "", doc ? doc : "");
    }
    return g_string_free(out, FALSE);
}

static void help_add_property(const Property *row, void *opaque)
{
    g_autofree char *left =
        g_strdup_printf("%s=<%s>", row->name, property_type_name(row));
    g_autofree char *words =
        row->values ? g_strjoinv("|", (char **)row->values) : NULL;

    if (row->flags & PROP_READ_ONLY) {
        return; /* an option's help is about what can be given */
    }
    g_string_append_printf(opaque, "  %-30s", left);
    if (row->doc) {
        g_string_append_printf(opaque, " - %s", row->doc);
    }
    if (words) {
        g_string_append_printf(opaque, " (%s)", words);
    }
    if (row->flags & PROP_REQUIRED) {
        g_string_append(opaque, " (required)");
    } else if (row->def) {
        g_string_append_printf(opaque, " (default: %s)", row->def);
    }
    g_string_append_c(opaque, '\n');
}

char *help_type(const ObjectClass *class)
{
    GString *out = g_string_new(NULL);

    g_string_append_printf(out, "%s options:\n", class->name);
    object_class_foreach_property(class, help_add_property, out);
    return g_string_free(out, FALSE);
}

static void schema_set_text(json_t *object, const char *key, const char *text)
{
    if (text) {
        json_object_set_new(object, key, json_string(text));
    }
}

static json_t *schema_words(const char *const *words)
{
    json_t *list = json_array();

    for (; *words; words++) {
        json_array_append_new(list, json_string(*words));
    }
    return list;
}

static void schema_add_property(const Property *row, void *opaque)
{
    json_t *entry = json_object();

    schema_set_text(entry, "name", row->name);
    schema_set_text(entry, "type", property_type_name(row));
    schema_set_text(entry, "json", row->json);
    json_object_set_new(entry, "required",
                        json_boolean(row->flags & PROP_REQUIRED));
    json_object_set_new(
        entry, "settable",
        json_boolean(!(row->flags & (PROP_FIXED | PROP_READ_ONLY))));
    if (row->flags & PROP_READ_ONLY) {
        json_object_set_new(entry, "read-only", json_true());
    }
    schema_set_text(entry, "default", row->def);
    if (row->values) {
        json_object_set_new(entry, "values", schema_words(row->values));
    }
    if (row->min || row->max) {
        json_object_set_new(entry, "min", json_integer((json_int_t)row->min));
    }
    if (row->max) {
        json_object_set_new(entry, "max", json_integer((json_int_t)row->max));
    }
    schema_set_text(entry, "since", row->since);
    schema_set_text(entry, "doc", row->doc);
    json_array_append_new(opaque, entry);
}

static json_t *schema_types(ObjectKind kind)
{
    const ObjectClass *const *row = object_classes(kind);
    json_t *list = json_array();

    for (; *row; row++) {
        json_t *entry = json_object();
        json_t *props = json_array();

        schema_set_text(entry, "name", (*row)->name);
        schema_set_text(entry, "parent",
                        (*row)->parent ? (*row)->parent->name : NULL);
        schema_set_text(entry, "doc", (*row)->doc);
        object_class_foreach_property(*row, schema_add_property, props);
        json_object_set_new(entry, "properties", props);
        json_array_append_new(list, entry);
    }
    return list;
}

static void schema_add_command(const Command *command, void *opaque)
{
    json_t *entry = json_object();
    json_t *args = json_array();

    schema_set_text(entry, "name", command->name);
    schema_set_text(entry, "doc", command->doc);
    for (const Property *row = command->args; row && row->name; row++) {
        json_t *arg = json_object();

        schema_set_text(arg, "name", row->name);
        schema_set_text(arg, "type", property_type_name(row));
        json_object_set_new(arg, "required",
                            json_boolean(row->flags & PROP_REQUIRED));
        schema_set_text(arg, "doc", row->doc);
        json_array_append_new(args, arg);
    }
    json_object_set_new(entry, "arguments", args);
    json_object_set_new(entry, "open", json_boolean(command->open));
    json_array_append_new(opaque, entry);
}

static json_t *schema_hmp(const HmpCommand *row)
{
    json_t *list = json_array();

    for (; row->name; row++) {
        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "name",
                                              row->name, "params", row->params,
                                              "doc", row->help));
    }
    return list;
}

char *help_schema(void)
{
    json_auto_t *schema = json_object();
    json_t *types = json_object();
    json_t *commands = json_array();
    json_t *options = json_array();
    char *text;
    char *out;

    schema_set_text(schema, "version", TAPFERRY_VERSION);
    for (int kind = 0; kind < OBJECT_KIND__MAX; kind++) {
        json_object_set_new(types, qom_container_name((ObjectKind)kind),
                            schema_types((ObjectKind)kind));
    }
    json_object_set_new(schema, "types", types);
    command_foreach(schema_add_command, commands);
    json_object_set_new(schema, "commands", commands);
    json_object_set_new(schema, "hmp", schema_hmp(hmp_commands));
    json_object_set_new(schema, "hmp-info", schema_hmp(hmp_info_commands));
    options_schema(options);
    json_object_set_new(schema, "options", options);
    text = json_dumps(schema, JSON_INDENT(2));
    out = g_strconcat(text, "\n", NULL);
    free(text);
    return out;
}
