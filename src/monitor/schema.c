/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/schema.h"

#include "monitor/command.h"
#include "monitor/schema-types.h"

#include <string.h>

/* The list under construction. */
typedef struct Schema {
    json_t *list;
    GHashTable *names; /* of the types that are in it */
} Schema;

/* The members of one object type. */
typedef struct SchemaMembers {
    Schema *schema;
    json_t *members;
} SchemaMembers;

/* Adds an entry (taken) unless one of that name is there. */
static void schema_add(Schema *schema, const char *name, const char *meta,
                       json_t *entry)
{
    if (g_hash_table_add(schema->names, g_strdup(name))) {
        json_object_set_new(entry, "name", json_string(name));
        json_object_set_new(entry, "meta-type", json_string(meta));
        json_array_append(schema->list, entry);
    }
    json_decref(entry);
}

static void schema_add_object(Schema *schema, const char *name, json_t *members)
{
    schema_add(schema, name, "object", json_pack("{s:o}", "members", members));
}

static void schema_add_enum(Schema *schema, const char *name,
                            const char *const *words)
{
    json_t *values = json_array();
    json_t *members = json_array();

    for (; *words; words++) {
        json_array_append_new(values, json_string(*words));
        json_array_append_new(members, json_pack("{s:s}", "name", *words));
    }
    schema_add(schema, name, "enum",
               json_pack("{s:o, s:o}", "values", values, "members", members));
}

static void schema_add_builtins(Schema *schema)
{
    static const struct {
        const char *name, *json;
    } rows[] = {
        {"str", "string"}, {"int", "int"},   {"bool", "boolean"},
        {"null", "null"},  {"any", "value"}, {"number", "number"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        schema_add(schema, rows[i].name, "builtin",
                   json_pack("{s:s}", "json-type", rows[i].json));
    }
    schema_add(schema, "[any]", "array",
               json_pack("{s:s}", "element-type", "any"));
    schema_add(schema, "str-or-int", "alternate",
               json_pack("{s:[{s:s}, {s:s}]}", "members", "type", "str", "type",
                         "int"));
    schema_add_object(schema, "0", json_array());
}

static void schema_require(Schema *schema, const char *type);

/* Reads "name:type name?:type"; adds the types. */
static json_t *schema_read_members(Schema *schema, const char *spec)
{
    g_auto(GStrv) words = g_strsplit(spec, " ", -1);
    json_t *members = json_array();

    for (char **word = words; *word && **word; word++) {
        char *type = strrchr(*word, ':');
        bool optional = type[-1] == '?';
        json_t *member;

        type[optional ? -1 : 0] = '\0';
        schema_require(schema, ++type);
        member = json_pack("{s:s, s:s}", "name", *word, "type", type);
        if (optional) {
            json_object_set_new(member, "default", json_null());
        }
        json_array_append_new(members, member);
    }
    return members;
}

/* Reads "case:type case:type"; adds the types. */
static json_t *schema_read_variants(Schema *schema, const char *spec)
{
    json_t *variants = schema_read_members(schema, spec);
    json_t *variant;
    size_t i;

    json_array_foreach (variants, i, variant) {
        json_object_set(variant, "case", json_object_get(variant, "name"));
        json_object_del(variant, "name");
    }
    return variants;
}

static void schema_add_type(Schema *schema, const SchemaType *row)
{
    json_t *entry;

    if (row->words) {
        g_auto(GStrv) words = g_strsplit(row->words, " ", -1);

        schema_add_enum(schema, row->name, (const char *const *)words);
        return;
    }
    entry = json_object();
    json_object_set_new(entry, "members",
                        schema_read_members(schema, row->members));
    if (row->tag) {
        json_object_set_new(entry, "tag", json_string(row->tag));
        json_object_set_new(entry, "variants",
                            schema_read_variants(schema, row->variants));
    }
    schema_add(schema, row->name, "object", entry);
}

/* Adds @type, a name or "[name]", if it is not there; no type lies within
 * itself. */
static void schema_require(Schema *schema, const char *type)
{
    if (g_hash_table_contains(schema->names, type)) {
        return;
    }
    if (*type == '[') {
        g_autofree char *element = g_strndup(type + 1, strlen(type) - 2);

        schema_require(schema, element);
        schema_add(schema, type, "array",
                   json_pack("{s:s}", "element-type", element));
        return;
    }
    for (const SchemaType *row = schema_types; row->name; row++) {
        if (strcmp(row->name, type) == 0) {
            schema_add_type(schema, row);
            return;
        }
    }
    g_assert_not_reached(); /* a table names a type that has no row */
}

/* The type of a row, added if need be; owned. */
static char *schema_type_of(Schema *schema, const Property *row)
{
    switch (row->type) {
    case PROP_STRING:
    case PROP_ENUM:
        if (row->values) {
            char *name = g_strdup_printf(
                "enum:%s", row->enum_name ? row->enum_name : row->name);

            schema_add_enum(schema, name, row->values);
            return name;
        }
        return g_strdup("str");
    case PROP_BOOL:
        return g_strdup("bool");
    case PROP_UINT32:
    case PROP_UINT64:
    case PROP_SIZE:
    case PROP_INT:
        return g_strdup("int");
    case PROP_AUTO_UINT32:
        return g_strdup("str-or-int");
    case PROP_LIST:
        return g_strdup("[any]");
    case PROP_OBJECT:
    case PROP_ANY:
        break;
    }
    return g_strdup("any");
}

static bool schema_has_member(json_t *members, const char *name)
{
    json_t *member;
    size_t i;

    json_array_foreach (members, i, member) {
        if (strcmp(json_string_value(json_object_get(member, "name")), name) ==
            0) {
            return true;
        }
    }
    return false;
}

static void schema_add_member(const Property *row, void *opaque)
{
    SchemaMembers *to = opaque;
    const char *full = row->json ? row->json : row->name;
    size_t length = strcspn(full, ".");
    g_autofree char *name = g_strndup(full, length);
    /* What lies inside a group is told by the group's presence alone. */
    g_autofree char *type =
        full[length] ? g_strdup("any") : schema_type_of(to->schema, row);
    json_t *member;

    if (schema_has_member(to->members, name)) {
        return;
    }
    member = json_pack("{s:s, s:s}", "name", name, "type", type);
    if (!(row->flags & PROP_REQUIRED)) {
        json_object_set_new(member, "default", json_null());
    }
    json_array_append_new(to->members, member);
}

/* The properties of a class as an object type. */
static void schema_add_class(Schema *schema, const char *name,
                             const ObjectClass *class)
{
    SchemaMembers to = {.schema = schema, .members = json_array()};

    object_class_foreach_property(class, schema_add_member, &to);
    schema_add_object(schema, name, to.members);
}

/* Makes an object type with a variant per class of @kind, chosen by @tag, one
 * of @members (taken); with @wrap the properties are in a member "data". */
static void schema_add_union(Schema *schema, const char *name, ObjectKind kind,
                             const char *tag, bool wrap, json_t *members)
{
    const ObjectClass *const *classes = object_classes(kind);
    g_autofree char *tag_type = g_strdup_printf("enum:%s:%s", name, tag);
    g_autoptr(GPtrArray) words = g_ptr_array_new();
    json_t *variants = json_array();

    for (; *classes; classes++) {
        g_autofree char *type =
            g_strdup_printf("%s:%s", name, (*classes)->name);
        g_autofree char *data = g_strdup_printf("%s:data", type);

        g_ptr_array_add(words, (void *)(*classes)->name);
        schema_add_class(schema, wrap ? data : type, *classes);
        if (wrap) {
            schema_add_object(
                schema, type,
                json_pack("[{s:s, s:s}]", "name", "data", "type", data));
        }
        json_array_append_new(
            variants,
            json_pack("{s:s, s:s}", "case", (*classes)->name, "type", type));
    }
    g_ptr_array_add(words, NULL);
    schema_add_enum(schema, tag_type, (const char *const *)words->pdata);
    json_array_append_new(
        members, json_pack("{s:s, s:s}", "name", tag, "type", tag_type));
    schema_add(schema, name, "object",
               json_pack("{s:o, s:s, s:o}", "members", members, "tag", tag,
                         "variants", variants));
}

/* The argument types of the commands that make things. */
static bool schema_add_maker(Schema *schema, const char *command,
                             const char *name)
{
    static const char id[] = "[{s:s, s:s}]";

    if (strcmp(command, "object-add") == 0) {
        schema_add_union(schema, name, OBJECT_KIND_OBJECT, "qom-type", false,
                         json_pack(id, "name", "id", "type", "str"));
    } else if (strcmp(command, "netdev_add") == 0) {
        schema_add_union(schema, name, OBJECT_KIND_NETDEV, "type", false,
                         json_pack(id, "name", "id", "type", "str"));
    } else if (g_str_has_prefix(command, "chardev-") &&
               strcmp(command, "chardev-remove") != 0) {
        schema_add_union(schema, "backend", OBJECT_KIND_CHARDEV, "type", true,
                         json_array());
        schema_add_object(schema, name,
                          json_pack("[{s:s, s:s}, {s:s, s:s}]", "name", "id",
                                    "type", "str", "name", "backend", "type",
                                    "backend"));
    } else {
        return false;
    }
    return true;
}

static void schema_add_command(const Command *command, void *opaque)
{
    Schema *schema = opaque;
    g_autofree char *name = g_strdup_printf("arg:%s", command->name);
    const char *arg = command->args ? name : "0";
    SchemaMembers to = {.schema = schema};

    if (command->args && !schema_add_maker(schema, command->name, name)) {
        to.members = json_array();
        for (const Property *row = command->args; row->name; row++) {
            schema_add_member(row, &to);
        }
        schema_add_object(schema, name, to.members);
    }
    if (command->returns) {
        schema_require(schema, command->returns);
    }
    schema_add(schema, command->name, "command",
               json_pack("{s:s, s:s}", "arg-type", arg, "ret-type",
                         command->returns ? command->returns : "0"));
}

static void schema_add_event(Schema *schema, const SchemaType *event)
{
    g_autofree char *data = g_strdup_printf("event:%s", event->name);

    schema_add_object(schema, data,
                      schema_read_members(schema, event->members));
    schema_add(schema, event->name, "event",
               json_pack("{s:s}", "arg-type", data));
}

json_t *schema_qmp(void)
{
    Schema schema = {
        .list = json_array(),
        .names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
    };

    schema_add_builtins(&schema);
    command_foreach(schema_add_command, &schema);
    for (const SchemaType *row = schema_events; row->name; row++) {
        schema_add_event(&schema, row);
    }
    g_hash_table_destroy(schema.names);
    return schema.list;
}
