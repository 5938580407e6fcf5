/* SPDX-License-Identifier: BSD-2-Clause */
/* object-add, object-del and the qom-* commands. */
#include "monitor/command.h"

#include "monitor/qom.h"

#include <string.h>

static const char *arg_string(json_t *args, const char *name)
{
    return json_string_value(json_object_get(args, name));
}

static json_t *object_add(json_t *args, PropertySyntax syntax, GError **errp)
{
    json_auto_t *props = json_copy(args);
    const char *type = arg_string(args, "qom-type");
    const char *id = arg_string(args, "id");

    json_object_del(props, "qom-type");
    json_object_del(props, "id");
    if (!object_new(OBJECT_KIND_OBJECT, type, id, props, syntax, errp)) {
        return NULL;
    }
    return json_object();
}

static json_t *object_delete(json_t *args, PropertySyntax syntax, GError **errp)
{
    const char *id = arg_string(args, "id");
    Object *obj = object_find(OBJECT_KIND_OBJECT, id);

    if (!obj) {
        tf_error_set(errp, "object '%s' not found", id);
        return NULL;
    }
    return object_del(obj, errp) ? json_object() : NULL;
}

static json_t *qom_entry(const char *name, const char *type)
{
    return json_pack("{s:s, s:s}", "name", name, "type", type);
}

static void qom_add_property(const Property *row, void *opaque)
{
    json_array_append_new(opaque,
                          qom_entry(row->name, property_type_name(row)));
}

static void qom_add_containers(json_t *list)
{
    for (int kind = 0; kind < OBJECT_KIND__MAX; kind++) {
        json_array_append_new(list,
                              qom_entry(qom_container_name((ObjectKind)kind),
                                        "child<container>"));
    }
}

static void qom_add_children(json_t *list, ObjectKind kind)
{
    GPtrArray *children = object_list(kind);

    for (guint i = 0; i < children->len; i++) {
        const Object *obj = children->pdata[i];
        g_autofree char *name = object_class_type_name(obj->class);
        g_autofree char *type = g_strdup_printf("child<%s>", name);

        json_array_append_new(list, qom_entry(obj->id, type));
    }
}

static json_t *qom_list(json_t *args, PropertySyntax syntax, GError **errp)
{
    QomNode node;
    json_t *list;

    if (!qom_resolve(arg_string(args, "path"), &node, errp)) {
        return NULL;
    }
    list = json_array();
    json_array_append_new(list, qom_entry("type", "string"));
    switch (node.type) {
    case QOM_ROOT:
        qom_add_containers(list);
        break;
    case QOM_CONTAINER:
        qom_add_children(list, node.kind);
        break;
    case QOM_OBJECT:
        object_class_foreach_property(node.obj->class, qom_add_property, list);
        break;
    }
    return list;
}

/* A property of the root or of a container: a child reads as its path. */
static json_t *qom_get_child(const QomNode *node, const char *name,
                             GError **errp)
{
    g_autofree char *parent =
        node->type == QOM_ROOT
            ? g_strdup("")
            : g_strdup_printf("/%s", qom_container_name(node->kind));
    g_autofree char *path = g_strdup_printf("%s/%s", parent, name);
    QomNode child;

    if (strchr(name, '/') || !*name || !qom_resolve(path, &child, NULL)) {
        tf_error_set(errp, "Property 'container.%s' not found", name);
        return NULL;
    }
    return json_string(path);
}

static json_t *qom_get(json_t *args, PropertySyntax syntax, GError **errp)
{
    const char *name = arg_string(args, "property");
    QomNode node;

    if (!qom_resolve_one(arg_string(args, "path"), &node, errp)) {
        return NULL;
    }
    if (strcmp(name, "type") == 0) {
        g_autofree char *type = qom_node_type(&node);

        return json_string(type);
    }
    if (node.type != QOM_OBJECT) {
        return qom_get_child(&node, name, errp);
    }
    return object_get(node.obj, name, errp);
}

static json_t *qom_set(json_t *args, PropertySyntax syntax, GError **errp)
{
    const char *name = arg_string(args, "property");
    QomNode node;

    if (!qom_resolve_one(arg_string(args, "path"), &node, errp)) {
        return NULL;
    }
    if (strcmp(name, "type") == 0) {
        g_autofree char *type = qom_node_type(&node);

        tf_error_set(errp, "Property '%s.type' is not writable", type);
        return NULL;
    }
    if (node.type != QOM_OBJECT) {
        tf_error_set(errp, "Property 'container.%s' not found", name);
        return NULL;
    }
    if (!object_set(node.obj, name, json_object_get(args, "value"), syntax,
                    errp)) {
        return NULL;
    }
    return json_object();
}

typedef struct QomTypes {
    const char *implements;
    bool abstract;
    json_t *list;
} QomTypes;

static bool qom_implements(const ObjectClass *class, const char *name)
{
    if (!name || strcmp(name, "object") == 0) {
        return true;
    }
    for (; class; class = class->parent) {
        g_autofree char *own = object_class_type_name(class);

        if (strcmp(own, name) == 0) {
            return true;
        }
    }
    return false;
}

static void qom_add_type(const ObjectClass *class, bool abstract, void *opaque)
{
    QomTypes *types = opaque;
    g_autofree char *name = object_class_type_name(class);
    g_autofree char *parent = class->parent
                                  ? object_class_type_name(class->parent)
                                  : g_strdup("object");
    json_t *entry;

    if ((abstract && !types->abstract) ||
        !qom_implements(class, types->implements)) {
        return;
    }
    entry = json_object();
    json_object_set_new(entry, "name", json_string(name));
    if (abstract) {
        json_object_set_new(entry, "abstract", json_true());
    }
    json_object_set_new(entry, "parent", json_string(parent));
    json_array_append_new(types->list, entry);
}

static json_t *qom_list_types(json_t *args, PropertySyntax syntax,
                              GError **errp)
{
    QomTypes types = {
        .implements = arg_string(args, "implements"),
        .abstract = json_is_true(json_object_get(args, "abstract")),
        .list = json_array(),
    };

    qom_foreach_class(qom_add_type, &types);
    return types.list;
}

static json_t *qom_list_properties(json_t *args, PropertySyntax syntax,
                                   GError **errp)
{
    const char *name = arg_string(args, "typename");
    const ObjectClass *class = qom_find_class(name);
    json_t *list;

    if (!class) {
        g_set_error(errp, TF_ERROR, TF_ERROR_DEVICE_NOT_FOUND,
                    "Class '%s' not found", name);
        return NULL;
    }
    list = json_array();
    json_array_append_new(list, qom_entry("type", "string"));
    object_class_foreach_property(class, qom_add_property, list);
    return list;
}

static const Property object_add_args[] = {
    COMMAND_ARG_STRING("qom-type", PROP_REQUIRED, "the object's type"),
    /* An unknown type is told first. */
    COMMAND_ARG_STRING("id", PROP_REQUIRED | COMMAND_ARG_LATE,
                       "its name, to be chosen"),
    PROP_END,
};

static const Property object_del_args[] = {
    COMMAND_ARG_STRING("id", PROP_REQUIRED, "the object's name"),
    PROP_END,
};

static const Property qom_list_args[] = {
    COMMAND_ARG_STRING("path", PROP_REQUIRED, "absolute or partial path"),
    PROP_END,
};

static const Property qom_get_args[] = {
    COMMAND_ARG_STRING("path", PROP_REQUIRED, "absolute or partial path"),
    COMMAND_ARG_STRING("property", PROP_REQUIRED, "the property's name"),
    PROP_END,
};

static const Property qom_set_args[] = {
    COMMAND_ARG_STRING("path", PROP_REQUIRED, "absolute or partial path"),
    COMMAND_ARG_STRING("property", PROP_REQUIRED, "the property's name"),
    {.name = "value",
     .type = PROP_ANY,
     .flags = PROP_REQUIRED,
     .doc = "the new value"},
    PROP_END,
};

static const Property qom_list_types_args[] = {
    COMMAND_ARG_STRING("implements", 0, "only types that are one of these"),
    {.name = "abstract",
     .type = PROP_BOOL,
     .doc = "abstract types, too; default false"},
    PROP_END,
};

static const Property qom_list_properties_args[] = {
    COMMAND_ARG_STRING("typename", PROP_REQUIRED, "the type's name"),
    PROP_END,
};

const Command object_commands[] = {
    {"object-add", object_add_args, true, object_add,
     "Make an object; further arguments are its properties"},
    {"object-del", object_del_args, false, object_delete, "Delete an object"},
    {"qom-list", qom_list_args, false, qom_list,
     "List an object's properties or a container's children",
     "[ObjectPropertyInfo]"},
    {"qom-get", qom_get_args, false, qom_get, "Read a property", "any"},
    {"qom-set", qom_set_args, false, qom_set, "Set a property"},
    {"qom-list-types", qom_list_types_args, false, qom_list_types,
     "List the types there are", "[ObjectTypeInfo]"},
    {"qom-list-properties", qom_list_properties_args, false,
     qom_list_properties, "List the properties of a type",
     "[ObjectPropertyInfo]"},
    {.name = NULL},
};
