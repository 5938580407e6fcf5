/* SPDX-License-Identifier: BSD-2-Clause */
/* The subcommands of the human monitor's "info". */
#include "monitor/hmp.h"

#include "base/version.h"
#include "monitor/command.h"
#include "monitor/qom.h"
#include "netdev/netdev.h"

#include <stdlib.h>
#include <string.h>

static const char *info_string(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

static json_int_t info_integer(json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static void info_version(GString *out, char **argv)
{
    g_string_append(out, "tapferry " TAPFERRY_VERSION "\n");
}

static void info_status(GString *out, char **argv)
{
    json_auto_t *status = hmp_call(out, "query-status", NULL);
    const char *word = info_string(status, "status");
    bool running = json_is_true(json_object_get(status, "running"));

    g_string_append_printf(out, "VM status: %s",
                           running ? "running" : "paused");
    if (!running && strcmp(word, "paused") != 0) {
        g_string_append_printf(out, " (%s)", word);
    }
    g_string_append_c(out, '\n');
}

static void info_chardev(GString *out, char **argv)
{
    json_auto_t *list = hmp_call(out, "query-chardev", NULL);
    json_t *entry;
    size_t i;

    json_array_foreach (list, i, entry) {
        g_string_append_printf(out, "%s: filename=%s\n",
                               info_string(entry, "label"),
                               info_string(entry, "filename"));
    }
}

static void info_counter(GString *out, const char *name, json_int_t packets,
                         json_int_t bytes)
{
    g_string_append_printf(out,
                           "  %s: %" JSON_INTEGER_FORMAT
                           " packets, %" JSON_INTEGER_FORMAT " bytes\n",
                           name, packets, bytes);
}

static void info_netfilter_stats(GString *out, char **argv)
{
    json_auto_t *list = hmp_call(out, "query-netfilter-stats", NULL);
    json_t *entry, *counter;
    size_t i, j;

    json_array_foreach (list, i, entry) {
        g_string_append_printf(
            out, "%s: netdev=%s type=%s\n", info_string(entry, "name"),
            info_string(entry, "netdev"), info_string(entry, "type"));
        info_counter(out, "tx", info_integer(entry, "packets-tx"),
                     info_integer(entry, "bytes-tx"));
        info_counter(out, "rx", info_integer(entry, "packets-rx"),
                     info_integer(entry, "bytes-rx"));
        json_array_foreach (json_object_get(entry, "counters"), j, counter) {
            info_counter(out, info_string(counter, "name"),
                         info_integer(counter, "packets"),
                         info_integer(counter, "bytes"));
        }
    }
}

typedef struct InfoProperties {
    GString *out;
    const Object *obj;
} InfoProperties;

static void info_property(const Property *row, void *opaque)
{
    InfoProperties *info = opaque;
    json_auto_t *value = property_get(info->obj, row);

    g_string_append_printf(info->out, ",%s=", row->name);
    if (json_is_string(value)) {
        g_string_append(info->out, json_string_value(value));
    } else if (json_is_integer(value)) {
        g_string_append_printf(info->out, "%" JSON_INTEGER_FORMAT,
                               json_integer_value(value));
    } else {
        g_string_append(info->out, json_is_true(value) ? "true" : "false");
    }
}

static void info_network_filters(GString *out, GPtrArray *filters)
{
    if (!filters || filters->len == 0) {
        return;
    }
    g_string_append(out, "filters:\n");
    for (guint i = 0; i < filters->len; i++) {
        InfoProperties info = {.out = out, .obj = filters->pdata[i]};

        g_string_append_printf(out, "  - %s: type=%s", info.obj->id,
                               info.obj->class->name);
        object_class_foreach_property(info.obj->class, info_property, &info);
        g_string_append_c(out, '\n');
    }
}

static void info_network(GString *out, char **argv)
{
    GPtrArray *netdevs = object_list(OBJECT_KIND_NETDEV);

    for (guint i = 0; i < netdevs->len; i++) {
        const Netdev *netdev = netdevs->pdata[i];
        const NetdevClass *class = netdev_get_class(netdev);
        g_autofree char *text =
            class->info ? class->info(netdev)
                        : g_strdup_printf("type=%s", class->object.name);

        g_string_append_printf(out, "%s: index=0,%s\n", netdev->object.id,
                               text);
        info_network_filters(out, netdev->filters);
    }
}

static void info_tree_container(GString *out, ObjectKind kind, int indent)
{
    GPtrArray *objects = object_list(kind);

    g_string_append_printf(out, "%*s/%s (container)\n", indent, "",
                           qom_container_name(kind));
    for (guint i = 0; i < objects->len; i++) {
        const Object *obj = objects->pdata[i];
        g_autofree char *type = object_class_type_name(obj->class);

        g_string_append_printf(out, "%*s/%s (%s)\n", indent + 2, "", obj->id,
                               type);
    }
}

static void info_qom_tree(GString *out, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *type = NULL;
    QomNode node;

    if (!qom_resolve(argv[0] ? argv[0] : "/", &node, &error)) {
        g_string_append_printf(out, "Error: %s\n", error->message);
        return;
    }
    switch (node.type) {
    case QOM_ROOT:
        g_string_append(out, "/ (container)\n");
        for (int kind = 0; kind < OBJECT_KIND__MAX; kind++) {
            info_tree_container(out, (ObjectKind)kind, 2);
        }
        break;
    case QOM_CONTAINER:
        info_tree_container(out, node.kind, 0);
        break;
    case QOM_OBJECT:
        type = qom_node_type(&node);
        g_string_append_printf(out, "/%s/%s (%s)\n",
                               qom_container_name(node.kind), node.obj->id,
                               type);
        break;
    }
}

/* One line a fact: whatever query-switchover tells. */
static void info_facts(GString *out, int indent, json_t *object)
{
    const char *key;
    json_t *value;

    json_object_foreach (object, key, value) {
        if (json_is_object(value)) {
            g_string_append_printf(out, "%*s%s:\n", indent, "", key);
            info_facts(out, indent + 2, value);
        } else {
            g_autofree char *text = NULL;

            if (json_is_string(value)) {
                text = g_strdup(json_string_value(value));
            } else {
                char *dump = json_dumps(value, JSON_ENCODE_ANY);

                text = g_strdup(dump);
                free(dump);
            }
            g_string_append_printf(out, "%*s%s: %s\n", indent, "", key, text);
        }
    }
}

static void info_switchover(GString *out, char **argv)
{
    json_auto_t *list = hmp_call(out, "query-switchover", NULL);
    json_t *entry;
    size_t i;

    json_array_foreach (list, i, entry) {
        g_autofree char *name = g_strdup(info_string(entry, "name"));

        g_string_append_printf(out, "%s:\n", name);
        json_object_del(entry, "name");
        json_object_del(entry, "timeline"); /* a picture is no line */
        info_facts(out, 2, entry);
    }
}

static void info_iothreads(GString *out, char **argv)
{
    json_auto_t *list = hmp_call(out, "query-iothreads", NULL);
    json_t *entry, *value;
    const char *key;
    size_t i;

    json_array_foreach (list, i, entry) {
        g_string_append_printf(out, "%s:\n", info_string(entry, "id"));
        json_object_foreach (entry, key, value) {
            if (json_is_integer(value)) {
                /* QEMU writes the one with an underscore. */
                bool thread = strcmp(key, "thread-id") == 0;

                g_string_append_printf(out, "  %s=%" JSON_INTEGER_FORMAT "\n",
                                       thread ? "thread_id" : key,
                                       json_integer_value(value));
            }
        }
    }
}

const HmpCommand hmp_info_commands[] = {
    {"chardev", "", "show the character devices", 0, 0, false, info_chardev},
    {"iothreads", "", "show the iothreads", 0, 0, false, info_iothreads},
    {"netfilter-stats", "", "show what the filters counted", 0, 0, false,
     info_netfilter_stats},
    {"network", "", "show netdevs and their filters", 0, 0, false,
     info_network},
    {"qom-tree", "[path]", "show the tree of objects", 0, 1, false,
     info_qom_tree, HMP_ARGUMENT_QOM},
    {"status", "", "show the run state", 0, 0, false, info_status},
    {"switchover", "", "show how the switchovers went", 0, 0, false,
     info_switchover},
    {"version", "", "show the version", 0, 0, false, info_version},
    {.name = NULL},
};
