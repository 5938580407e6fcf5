/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/qom.h"

#include <string.h>

const char *qom_container_name(ObjectKind kind)
{
    switch (kind) {
    case OBJECT_KIND_CHARDEV:
        return "chardevs";
    case OBJECT_KIND_NETDEV:
        return "netdevs";
    case OBJECT_KIND_OBJECT:
    case OBJECT_KIND__MAX:
        break;
    }
    return "objects";
}

static bool qom_find_container(const char *name, QomNode *node)
{
    for (int kind = 0; kind < OBJECT_KIND__MAX; kind++) {
        if (strcmp(qom_container_name((ObjectKind)kind), name) == 0) {
            *node = (QomNode){.type = QOM_CONTAINER, .kind = (ObjectKind)kind};
            return true;
        }
    }
    return false;
}

static bool qom_find_object(ObjectKind kind, const char *id, QomNode *node)
{
    Object *obj = object_find(kind, id);

    if (obj) {
        *node = (QomNode){.type = QOM_OBJECT, .kind = kind, .obj = obj};
    }
    return obj != NULL;
}

/* Walks from the root. Returns how many nodes match: 0 or 1. */
static unsigned qom_resolve_absolute(char **parts, guint n, QomNode *node)
{
    QomNode container;

    if (n == 0) {
        *node = (QomNode){.type = QOM_ROOT};
        return 1;
    }
    if (n > 2 || !qom_find_container(parts[0], &container)) {
        return 0;
    }
    if (n == 1) {
        *node = container;
        return 1;
    }
    return qom_find_object(container.kind, parts[1], node);
}

/* Looks for a node that the path's end leads to, from wherever. */
static unsigned qom_resolve_partial(char **parts, guint n, QomNode *node)
{
    unsigned found;

    if (n == 0) {
        return 2; /* everything */
    }
    found = qom_resolve_absolute(parts, n, node);
    if (n == 1) {
        found += qom_find_object(OBJECT_KIND_OBJECT, parts[0], node);
        found += qom_find_object(OBJECT_KIND_CHARDEV, parts[0], node);
        /* QEMU's netdevs have no path, so they never make one ambiguous. */
        if (found == 0) {
            found = qom_find_object(OBJECT_KIND_NETDEV, parts[0], node);
        }
    }
    return found;
}

/* Returns how many nodes @path leads to; @node is the one if there is one. */
static unsigned qom_count(const char *path, QomNode *node)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    guint n = 0;

    /* Slashes may be doubled and stand at the end. */
    for (guint i = 0; parts[i]; i++) {
        if (parts[i][0]) {
            char *part = parts[i];

            parts[i] = parts[n];
            parts[n++] = part;
        }
    }
    return path[0] == '/' ? qom_resolve_absolute(parts, n, node)
                          : qom_resolve_partial(parts, n, node);
}

static bool qom_not_found(const char *path, GError **errp)
{
    g_set_error(errp, TF_ERROR, TF_ERROR_DEVICE_NOT_FOUND,
                "Device '%s' not found", path);
    return false;
}

bool qom_resolve(const char *path, QomNode *node, GError **errp)
{
    unsigned found = qom_count(path, node);

    if (found > 1) {
        return tf_error_set(errp, "Path '%s' is ambiguous", path);
    }
    return found == 1 || qom_not_found(path, errp);
}

bool qom_resolve_one(const char *path, QomNode *node, GError **errp)
{
    return qom_count(path, node) == 1 || qom_not_found(path, errp);
}

char *qom_node_type(const QomNode *node)
{
    return node->type == QOM_OBJECT ? object_class_type_name(node->obj->class)
                                    : g_strdup("container");
}

static void qom_add_class(GPtrArray *seen, const ObjectClass *class,
                          bool abstract,
                          void (*func)(const ObjectClass *class, bool abstract,
                                       void *opaque),
                          void *opaque)
{
    if (!g_ptr_array_find(seen, class, NULL)) {
        g_ptr_array_add(seen, (void *)class);
        func(class, abstract, opaque);
    }
}

void qom_foreach_class(void (*func)(const ObjectClass *class, bool abstract,
                                    void *opaque),
                       void *opaque)
{
    g_autoptr(GPtrArray) seen = g_ptr_array_new();

    for (int kind = 0; kind < OBJECT_KIND__MAX; kind++) {
        const ObjectClass *const *row = object_classes((ObjectKind)kind);

        for (; *row; row++) {
            qom_add_class(seen, *row, false, func, opaque);
        }
        for (row = object_classes((ObjectKind)kind); *row; row++) {
            for (const ObjectClass *c = (*row)->parent; c; c = c->parent) {
                qom_add_class(seen, c, true, func, opaque);
            }
        }
    }
}

typedef struct QomFind {
    const char *name;
    const ObjectClass *class;
} QomFind;

static void qom_find_one(const ObjectClass *class, bool abstract, void *opaque)
{
    QomFind *find = opaque;
    g_autofree char *name = object_class_type_name(class);

    if (strcmp(name, find->name) == 0) {
        find->class = class;
    }
}

const ObjectClass *qom_find_class(const char *name)
{
    QomFind find = {.name = name};

    qom_foreach_class(qom_find_one, &find);
    return find.class;
}
