/* SPDX-License-Identifier: BSD-2-Clause */
#include "object/object.h"

#include <string.h>

/* Deeper nesting than any table has: such a value is left as it is, and so
 * is no known property. */
#define OBJECT_FLATTEN_MAX 8

static GPtrArray *object_lists[OBJECT_KIND__MAX];
/* The same by id. */
static GHashTable *object_ids[OBJECT_KIND__MAX];

GPtrArray *object_list(ObjectKind kind)
{
    if (!object_lists[kind]) {
        object_lists[kind] = g_ptr_array_new();
        object_ids[kind] = g_hash_table_new(g_str_hash, g_str_equal);
    }
    return object_lists[kind];
}

Object *object_find(ObjectKind kind, const char *id)
{
    return object_lists[kind] ? g_hash_table_lookup(object_ids[kind], id)
                              : NULL;
}

/* A letter, then letters, digits, '-', '.' and '_'. */
static bool object_id_is_wellformed(const char *id)
{
    if (!g_ascii_isalpha(*id)) {
        return false;
    }
    while (*++id) {
        if (!g_ascii_isalnum(*id) && !strchr("-._", *id)) {
            return false;
        }
    }
    return true;
}

const ObjectClass *object_class_find(ObjectKind kind, const char *name)
{
    const ObjectClass *const *classes = object_classes(kind);

    for (; *classes; classes++) {
        if (strcmp((*classes)->name, name) == 0) {
            return *classes;
        }
    }
    return NULL;
}

bool object_is_a(const Object *obj, const ObjectClass *class)
{
    for (const ObjectClass *c = obj->class; c; c = c->parent) {
        if (c == class) {
            return true;
        }
    }
    return false;
}

void object_class_foreach_property(const ObjectClass *class,
                                   void (*func)(const Property *row,
                                                void *opaque),
                                   void *opaque)
{
    if (class->parent) {
        object_class_foreach_property(class->parent, func, opaque);
    }
    for (const Property *row = class->props; row && row->name; row++) {
        func(row, opaque);
    }
}

const Property *object_class_find_property(const ObjectClass *class,
                                           const char *name)
{
    for (; class; class = class->parent) {
        for (const Property *row = class->props; row && row->name; row++) {
            if (strcmp(row->name, name) == 0) {
                return row;
            }
        }
    }
    return NULL;
}

/* Is @name the outer name of nested rows: "addr" of "addr.type"? */
static bool object_class_has_group(const ObjectClass *class, const char *name)
{
    size_t length = strlen(name);

    for (; class; class = class->parent) {
        for (const Property *row = class->props; row && row->name; row++) {
            const char *full = row->json ? row->json : row->name;

            if (strncmp(full, name, length) == 0 && full[length] == '.') {
                return true;
            }
        }
    }
    return false;
}

/* Puts the members of @props into @flat, those of a group's members under
 * their dotted names. */
static void object_flatten(const ObjectClass *class, json_t *props,
                           const char *prefix, unsigned depth, json_t *flat)
{
    const char *key;
    json_t *value;

    json_object_foreach (props, key, value) {
        g_autofree char *name = g_strconcat(prefix, key, NULL);

        if (json_is_object(value) && depth < OBJECT_FLATTEN_MAX &&
            object_class_has_group(class, name)) {
            g_autofree char *inner = g_strconcat(name, ".", NULL);

            object_flatten(class, value, inner, depth + 1, flat);
        } else {
            json_object_set(flat, name, value);
        }
    }
}

typedef struct ObjectFill {
    Object *obj;
    json_t *props;
    json_t *flat;       /* what is not yet used */
    const char *prefix; /* in front of names in messages */
    PropertySyntax syntax;
    GError *error;
} ObjectFill;

/* Is anything given of the group that @name is in ("addr.type": "addr")? */
static bool object_fill_has_group(const ObjectFill *fill, const char *name)
{
    size_t length = (size_t)(strrchr(name, '.') - name);
    g_autofree char *group = g_strndup(name, length);
    const char *key;
    json_t *value;

    json_object_foreach (fill->flat, key, value) {
        if (strncmp(key, name, length + 1) == 0) {
            return true;
        }
    }
    return json_is_object(json_object_get(fill->props, group));
}

/* Must @row, which is not given, be? */
static bool object_fill_wants(const ObjectFill *fill, const Property *row)
{
    return row->flags & PROP_REQUIRED ||
           (row->flags & PROP_IN_GROUP &&
            object_fill_has_group(fill, row->name));
}

static void object_fill_one(const Property *row, void *opaque)
{
    ObjectFill *fill = opaque;
    g_autofree char *label =
        g_strconcat(fill->prefix, property_label(row, fill->syntax), NULL);
    const char *names[] = {row->name, row->json};
    bool given = false;

    if (row->flags & PROP_READ_ONLY) {
        return;
    }
    property_set_default(fill->obj, row);
    for (size_t i = 0; i < G_N_ELEMENTS(names) && !fill->error; i++) {
        json_t *value = names[i] ? json_object_get(fill->flat, names[i]) : NULL;

        if (value) {
            given = true;
            property_set_labelled(fill->obj, row, label, value, fill->syntax,
                                  &fill->error);
            json_object_del(fill->flat, names[i]);
        }
    }
    if (!given && !fill->error && object_fill_wants(fill, row)) {
        tf_error_set(&fill->error, "Parameter '%s' is missing", label);
    }
}

/* What is left in fill->flat has no row. */
static bool object_refuse_unknown(const ObjectFill *fill, GError **errp)
{
    const ObjectClass *class = fill->obj->class;
    const char *name = json_object_iter_key(json_object_iter(fill->flat));

    if (!name) {
        return true;
    }
    if (fill->syntax == PROP_SYNTAX_TEXT) {
        return tf_error_set(errp, "Invalid parameter '%s'", name);
    }
    if (object_class_has_group(class, name)) {
        return tf_error_set(errp,
                            "Invalid parameter type for '%s%s', expected: "
                            "object",
                            fill->prefix, name);
    }
    return tf_error_set(errp, "Parameter '%s%s' is unexpected", fill->prefix,
                        name);
}

static const char *object_class_prefix(const ObjectClass *class)
{
    while (class->parent) {
        class = class->parent;
    }
    return class->json_prefix ? class->json_prefix : "";
}

/* Sets all properties. Where several things are wrong, the rows' order decides
 * which one is named, as with QEMU's input visitors. */
static bool object_fill(Object *obj, json_t *props, PropertySyntax syntax,
                        GError **errp)
{
    json_auto_t *flat = json_object();
    ObjectFill fill = {
        .obj = obj,
        .props = props,
        .flat = flat,
        .prefix =
            syntax == PROP_SYNTAX_JSON ? object_class_prefix(obj->class) : "",
        .syntax = syntax,
    };

    if (props) {
        object_flatten(obj->class, props, "", 0, flat);
    }
    object_class_foreach_property(obj->class, object_fill_one, &fill);
    if (fill.error) {
        g_propagate_error(errp, fill.error);
        return false;
    }
    return object_refuse_unknown(&fill, errp);
}

static void object_clear_one(const Property *row, void *opaque)
{
    property_clear(opaque, row);
}

static void object_free(Object *obj)
{
    object_class_foreach_property(obj->class, object_clear_one, obj);
    g_free(obj->id);
    g_free(obj);
}

static void object_class_finalize(Object *obj)
{
    for (const ObjectClass *c = obj->class; c; c = c->parent) {
        if (c->finalize) {
            c->finalize(obj);
            return;
        }
    }
}

static bool object_class_complete(Object *obj, GError **errp)
{
    for (const ObjectClass *c = obj->class; c; c = c->parent) {
        if (c->complete) {
            return c->complete(obj, errp);
        }
    }
    return true;
}

static bool object_check_id(ObjectKind kind, const char *id,
                            PropertySyntax syntax, GError **errp)
{
    if (!object_id_is_wellformed(id)) {
        return tf_error_set(errp, "Parameter 'id' expects an identifier");
    }
    /* Every container has a property "type". */
    if (!object_find(kind, id) && strcmp(id, "type") != 0) {
        return true;
    }
    if (kind == OBJECT_KIND_NETDEV) {
        return tf_error_set(errp, "Duplicate ID '%s'", id);
    }
    if (kind == OBJECT_KIND_CHARDEV && syntax == PROP_SYNTAX_JSON) {
        return tf_error_set(errp, "Chardev with id '%s' already exists", id);
    }
    return tf_error_set(errp,
                        "attempt to add duplicate property '%s' to object "
                        "(type 'container')",
                        id);
}

Object *object_new(ObjectKind kind, const char *type, const char *id,
                   json_t *props, PropertySyntax syntax, GError **errp)
{
    const ObjectClass *class = object_class_find(kind, type);
    Object *obj;

    if (!class) {
        tf_error_set(errp, "Parameter '%s' does not accept value '%s'",
                     kind == OBJECT_KIND_OBJECT ? "qom-type" : "type", type);
        return NULL;
    }
    if (!id) {
        tf_error_set(errp, "Parameter 'id' is missing");
        return NULL;
    }
    obj = g_malloc0(class->size);
    obj->class = class;
    obj->syntax = syntax;
    obj->id = g_strdup(id);
    if (!object_fill(obj, props, syntax, errp) ||
        !object_check_id(kind, id, syntax, errp)) {
        object_free(obj);
        return NULL;
    }
    if (!object_class_complete(obj, errp)) {
        object_class_finalize(obj);
        object_free(obj);
        return NULL;
    }
    obj->completed = true;
    g_ptr_array_add(object_list(kind), obj);
    object_set_named(obj, true);
    return obj;
}

static bool object_refuse_users(const Object *obj, GError **errp)
{
    if (obj->class->kind == OBJECT_KIND_CHARDEV) {
        return tf_error_set(errp, "Chardev '%s' is busy", obj->id);
    }
    return tf_error_set(errp, "object '%s' is in use, can not be deleted",
                        obj->id);
}

bool object_del(Object *obj, GError **errp)
{
    const ObjectClass *c = obj->class;

    if (obj->users > 0) {
        return object_refuse_users(obj, errp);
    }
    while (!c->can_be_deleted && c->parent) {
        c = c->parent;
    }
    if (c->can_be_deleted && !c->can_be_deleted(obj, errp)) {
        return false;
    }
    object_destroy(obj);
    return true;
}

void object_set_named(Object *obj, bool named)
{
    GHashTable *ids = object_ids[obj->class->kind];

    if (named) {
        g_hash_table_insert(ids, obj->id, obj);
    } else if (g_hash_table_lookup(ids, obj->id) == obj) {
        g_hash_table_remove(ids, obj->id);
    }
}

void object_destroy(Object *obj)
{
    if (obj->completed) {
        g_ptr_array_remove(object_list(obj->class->kind), obj);
        object_set_named(obj, false);
    }
    object_class_finalize(obj);
    object_free(obj);
}

/* Destroys the newest object of @list that nobody holds, or with @force the
 * newest. False if there is none. */
static bool object_destroy_one(GPtrArray *list, bool force)
{
    for (guint i = list->len; i-- > 0;) {
        Object *obj = list->pdata[i];

        if (obj->users == 0 || force) {
            object_destroy(obj);
            return true;
        }
    }
    return false;
}

void object_destroy_all(void)
{
    static const ObjectKind order[] = {OBJECT_KIND_OBJECT, OBJECT_KIND_NETDEV,
                                       OBJECT_KIND_CHARDEV};

    /* What a netdev holds (a VM) outlives it; the second round takes what
     * holds itself in a circle. */
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < G_N_ELEMENTS(order); i++) {
            while (object_destroy_one(object_list(order[i]), round > 0)) {
            }
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(order); i++) {
        g_clear_pointer(&object_lists[order[i]], g_ptr_array_unref);
        g_clear_pointer(&object_ids[order[i]], g_hash_table_unref);
    }
}

static bool object_notify_changed(Object *obj, const Property *row,
                                  GError **errp)
{
    for (const ObjectClass *c = obj->class; c; c = c->parent) {
        if (c->changed) {
            return c->changed(obj, row, errp);
        }
    }
    return true;
}

char *object_class_type_name(const ObjectClass *class)
{
    if (!class->parent || class->kind == OBJECT_KIND_OBJECT) {
        return g_strdup(class->name);
    }
    return g_strconcat(class->kind == OBJECT_KIND_CHARDEV ? "chardev-"
                                                          : "netdev-",
                       class->name, NULL);
}

/* "Property 'TYPE.NAME'" and @what. */
static bool object_refuse_property(const Object *obj, const char *name,
                                   const char *what, GError **errp)
{
    g_autofree char *type = object_class_type_name(obj->class);

    return tf_error_set(errp, "Property '%s.%s' %s", type, name, what);
}

bool object_set(Object *obj, const char *name, json_t *value,
                PropertySyntax syntax, GError **errp)
{
    const Property *row = object_class_find_property(obj->class, name);

    if (!row) {
        return object_refuse_property(obj, name, "not found", errp);
    }
    if (row->flags & PROP_READ_ONLY ||
        (row->flags & PROP_FIXED && obj->completed)) {
        return object_refuse_property(obj, name, "is not writable", errp);
    }
    if (!property_set(obj, row, value, syntax, errp)) {
        return false;
    }
    return !obj->completed || object_notify_changed(obj, row, errp);
}

json_t *object_get(const Object *obj, const char *name, GError **errp)
{
    const Property *row = object_class_find_property(obj->class, name);

    if (!row) {
        object_refuse_property(obj, name, "not found", errp);
        return NULL;
    }
    return property_get(obj, row);
}
