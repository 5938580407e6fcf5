/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Objects: everything that a user creates, names and deletes.
 *
 * A class is a const struct; a type's class embeds its base's as first member
 * (FilterClass embeds ObjectClass), an instance its base's instance. The core
 * allocates instances zeroed, sets the properties from the tables, calls
 * complete() and links the object into its container. If any of that fails,
 * finalize() is called and the name is free again.
 *
 * Containers: /objects (filters, vm-qmp, …), /chardevs, /netdevs, each with
 * its own name space, in order of creation. Main thread only.
 */
#ifndef TF_OBJECT_OBJECT_H
#define TF_OBJECT_OBJECT_H

#include "base/error.h"
#include "object/property.h"

typedef struct Object Object;
typedef struct ObjectClass ObjectClass;

typedef enum ObjectKind {
    OBJECT_KIND_OBJECT,
    OBJECT_KIND_CHARDEV,
    OBJECT_KIND_NETDEV,
    OBJECT_KIND__MAX,
} ObjectKind;

/* When objects of a type on the command line are created: after what they
 * refer to. */
typedef enum ObjectOrder {
    OBJECT_ORDER_FIRST,
    OBJECT_ORDER_BEHIND_CHARDEVS,
    OBJECT_ORDER_BEHIND_NETDEVS,
    OBJECT_ORDER__MAX,
} ObjectOrder;

struct ObjectClass {
    const char *name;          /* the type's name: "filter-redirector" */
    const ObjectClass *parent; /* whose properties and hooks come first */
    ObjectKind kind;
    ObjectOrder order;     /* of OBJECT_KIND_OBJECT; or the parent's */
    size_t size;           /* of an instance */
    const Property *props; /* own rows; NULL for none */
    const char *doc;       /* one sentence */
    /* Of a base class: where the properties are in JSON, for messages. */
    const char *json_prefix;
    /* All properties are set: check them together, open, attach. */
    bool (*complete)(Object *obj, GError **errp);
    /* Undoes complete(), also a failed one. The base frees the properties. */
    void (*finalize)(Object *obj);
    /* A property of a completed object was set; false undoes nothing. */
    bool (*changed)(Object *obj, const Property *row, GError **errp);
    /* May it be deleted? NULL: yes. Sets an error worded as QEMU words it. */
    bool (*can_be_deleted)(Object *obj, GError **errp);
};

struct Object {
    const ObjectClass *class;
    char *id;
    PropertySyntax syntax; /* that it was made in */
    bool completed;
    unsigned users; /* objects that hold this one: deletion is refused */
};

/*
 * Makes an object of type @type from @props, a JSON object of properties
 * without "id", "qom-type", "type" and "backend". Nested JSON objects are
 * flattened to dotted names first. Returns it borrowed: the container owns it.
 */
Object *object_new(ObjectKind kind, const char *type, const char *id,
                   json_t *props, PropertySyntax syntax, GError **errp);

/* NULL if there is none; borrowed. */
Object *object_find(ObjectKind kind, const char *id);

/* Without a name object_find() does not find it, and its id is free for another
 * object. */
void object_set_named(Object *obj, bool named);

/* Deletes it; an error if it has users or its class refuses. */
bool object_del(Object *obj, GError **errp);

/* Deletes unconditionally (netdev_del deletes the netdev's filters; exit). */
void object_destroy(Object *obj);

/* Deletes everything: objects newest first, then netdevs, then chardevs;
 * objects that others use after their users. */
void object_destroy_all(void);

/* The container's objects in order of creation; borrowed. */
GPtrArray *object_list(ObjectKind kind);

bool object_is_a(const Object *obj, const ObjectClass *class);

/* Row @name of the object's class or of its parents; NULL if none. */
const Property *object_class_find_property(const ObjectClass *class,
                                           const char *name);

/* Calls @func for each row, the parent's rows first. */
void object_class_foreach_property(const ObjectClass *class,
                                   void (*func)(const Property *row,
                                                void *opaque),
                                   void *opaque);

bool object_set(Object *obj, const char *name, json_t *value,
                PropertySyntax syntax, GError **errp);
json_t *object_get(const Object *obj, const char *name, GError **errp);

/* QOM's name of the type, owned: objects and abstract bases in full, others
 * by kind ("chardev-socket", "netdev-tap"). */
char *object_class_type_name(const ObjectClass *class);

/* The types of @kind; NULL-terminated, generated from the lists in
 * src/.../meson.build. */
const ObjectClass *const *object_classes(ObjectKind kind);

const ObjectClass *object_class_find(ObjectKind kind, const char *name);

#endif
