/* SPDX-License-Identifier: BSD-2-Clause */
/* Netdevs, and what their filters counted. */
#include "monitor/command.h"

#include "filter/filter.h"
#include "netdev/netdev.h"
#include "object/iothread.h"

static const char *arg_string(json_t *args, const char *name)
{
    return json_string_value(json_object_get(args, name));
}

static json_t *netdev_add(json_t *args, PropertySyntax syntax, GError **errp)
{
    json_auto_t *props = json_copy(args);

    json_object_del(props, "type");
    json_object_del(props, "id");
    if (!object_new(OBJECT_KIND_NETDEV, arg_string(args, "type"),
                    arg_string(args, "id"), props, syntax, errp)) {
        return NULL;
    }
    return json_object();
}

static json_t *netdev_del(json_t *args, PropertySyntax syntax, GError **errp)
{
    const char *id = arg_string(args, "id");
    Netdev *netdev = (Netdev *)object_find(OBJECT_KIND_NETDEV, id);

    if (!netdev) {
        g_set_error(errp, TF_ERROR, TF_ERROR_DEVICE_NOT_FOUND,
                    "Device '%s' not found", id);
        return NULL;
    }
    /* Held from outside its own chain: refused before anything is gone. */
    if (netdev->object.users > 0) {
        object_del(&netdev->object, errp);
        return NULL;
    }
    /* Head first: what a buffer lets go passes those behind it. */
    while (netdev->filters && netdev->filters->len > 0) {
        object_destroy(netdev->filters->pdata[0]);
    }
    return object_del(&netdev->object, errp) ? json_object() : NULL;
}

static json_t *query_netfilter_stats(json_t *args, PropertySyntax syntax,
                                     GError **errp)
{
    return filter_stats_all(arg_string(args, "name"), errp);
}

static json_t *query_switchover(json_t *args, PropertySyntax syntax,
                                GError **errp)
{
    return filter_switchover_all();
}

static json_t *query_iothreads(json_t *args, PropertySyntax syntax,
                               GError **errp)
{
    return iothread_query_all();
}

static const Property netdev_add_args[] = {
    COMMAND_ARG_STRING("id", PROP_REQUIRED, "its name, to be chosen"),
    COMMAND_ARG_STRING("type", PROP_REQUIRED, "the netdev's type"),
    PROP_END,
};

static const Property netdev_del_args[] = {
    COMMAND_ARG_STRING("id", PROP_REQUIRED, "the netdev's name"),
    PROP_END,
};

static const Property query_netfilter_stats_args[] = {
    COMMAND_ARG_STRING("name", 0, "only this filter; default all"),
    PROP_END,
};

const Command device_commands[] = {
    {"netdev_add", netdev_add_args, true, netdev_add,
     "Make a netdev; further arguments are its properties"},
    {"netdev_del", netdev_del_args, false, netdev_del,
     "Remove a netdev and the filters on it"},
    {"query-iothreads", NULL, false, query_iothreads,
     "List the threads that netdevs may be put on", "[IOThreadInfo]"},
    {"query-netfilter-stats", query_netfilter_stats_args, false,
     query_netfilter_stats, "What the filters counted", "[NetFilterStats]"},
    {"query-switchover", NULL, false, query_switchover,
     "How the switchovers went", "[SwitchoverInfo]"},
    {.name = NULL},
};
