/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Objects under the paths and type names by which QEMU's QOM commands know
 * them: "/objects/rd0", or "rd0" where that is unique. Main thread only.
 */
#ifndef TF_MONITOR_QOM_H
#define TF_MONITOR_QOM_H

#include "object/object.h"

typedef struct QomNode {
    enum { QOM_ROOT, QOM_CONTAINER, QOM_OBJECT } type;
    ObjectKind kind; /* of a container */
    Object *obj;
} QomNode;

/* DeviceNotFound if there is none, GenericError if there are several. */
bool qom_resolve(const char *path, QomNode *node, GError **errp);

/* Likewise for qom-get and qom-set: an ambiguous name is DeviceNotFound, too.
 */
bool qom_resolve_one(const char *path, QomNode *node, GError **errp);

/* "objects", "chardevs", "netdevs" */
const char *qom_container_name(ObjectKind kind);

/* object_class_type_name(), or "container"; owned. */
char *qom_node_type(const QomNode *node);

/* Any class, the abstract ones included, by its QOM name. */
const ObjectClass *qom_find_class(const char *name);

/* Calls @func for every class once, abstract ones included. */
void qom_foreach_class(void (*func)(const ObjectClass *class, bool abstract,
                                    void *opaque),
                       void *opaque);

#endif
