/* SPDX-License-Identifier: BSD-2-Clause */
/* Character devices, netdevs, and what their filters counted. */
#include "monitor/command.h"

#include "chardev/chardev.h"
#include "chardev/ringbuf.h"
#include "filter/filter.h"
#include "netdev/netdev.h"

/* More does not fit a reply well. */
#define RINGBUF_READ_MAX (1024 * 1024)

static const char *arg_string(json_t *args, const char *name)
{
    return json_string_value(json_object_get(args, name));
}

/* Makes a chardev of the QMP form: backend is {"type", "data"}. */
static json_t *chardev_add_nested(const char *id, json_t *backend,
                                  GError **errp)
{
    json_t *type = json_object_get(backend, "type");
    json_t *data = json_object_get(backend, "data");
    const char *key;
    json_t *value;

    if (!type || !data) {
        tf_error_set(errp, "Parameter 'backend.%s' is missing",
                     type ? "data" : "type");
        return NULL;
    }
    if (!json_is_string(type) || !json_is_object(data)) {
        tf_error_set(errp,
                     "Invalid parameter type for 'backend.%s', expected: %s",
                     json_is_string(type) ? "data" : "type",
                     json_is_string(type) ? "object" : "string");
        return NULL;
    }
    json_object_foreach (backend, key, value) {
        if (value != type && value != data) {
            tf_error_set(errp, "Parameter 'backend.%s' is unexpected", key);
            return NULL;
        }
    }
    if (!object_new(OBJECT_KIND_CHARDEV, json_string_value(type), id, data,
                    PROP_SYNTAX_JSON, errp)) {
        return NULL;
    }
    return json_object();
}

static json_t *chardev_add(json_t *args, PropertySyntax syntax, GError **errp)
{
    json_t *backend = json_object_get(args, "backend");
    const char *id = arg_string(args, "id");
    json_auto_t *props = json_copy(args);

    json_object_del(props, "id");
    json_object_del(props, "backend");
    if (json_is_object(backend)) {
        const char *key = json_object_iter_key(json_object_iter(props));

        if (key) {
            tf_error_set(errp, "Parameter '%s' is unexpected", key);
            return NULL;
        }
        return chardev_add_nested(id, backend, errp);
    }
    /* The command line's form: the backend's name, its properties beside. */
    if (!json_is_string(backend)) {
        tf_error_set(errp, "Invalid parameter type for 'backend', expected: "
                           "object");
        return NULL;
    }
    if (!object_new(OBJECT_KIND_CHARDEV, json_string_value(backend), id, props,
                    syntax, errp)) {
        return NULL;
    }
    return json_object();
}

static json_t *chardev_remove(json_t *args, PropertySyntax syntax,
                              GError **errp)
{
    const char *id = arg_string(args, "id");
    Object *obj = object_find(OBJECT_KIND_CHARDEV, id);

    if (!obj) {
        tf_error_set(errp, "Chardev '%s' not found", id);
        return NULL;
    }
    if (((Chardev *)obj)->handlers) {
        tf_error_set(errp, "Chardev '%s' is busy", id);
        return NULL;
    }
    return object_del(obj, errp) ? json_object() : NULL;
}

/* The new one is made before the old one goes, so a failure changes nothing. */
static json_t *chardev_change(json_t *args, PropertySyntax syntax,
                              GError **errp)
{
    const char *id = arg_string(args, "id");
    Object *obj = object_find(OBJECT_KIND_CHARDEV, id);
    json_t *result;

    if (!obj) {
        tf_error_set(errp, "Chardev '%s' does not exist", id);
        return NULL;
    }
    if (((Chardev *)obj)->handlers) {
        tf_error_set(errp, "Chardev user does not support chardev hotswap");
        return NULL;
    }
    /* Nothing can be named so: its name is free for the new one. */
    obj->id[0] = '\0';
    result = chardev_add(args, syntax, errp);
    if (result) {
        object_destroy(obj);
    } else {
        obj->id[0] = id[0];
    }
    return result;
}

static json_t *query_chardev(json_t *args, PropertySyntax syntax, GError **errp)
{
    GPtrArray *chardevs = object_list(OBJECT_KIND_CHARDEV);
    json_t *list = json_array();

    for (guint i = 0; i < chardevs->len; i++) {
        const Chardev *chardev = chardevs->pdata[i];
        g_autofree char *name = chardev_filename(chardev);
        g_autofree char *filename = g_utf8_make_valid(name, -1);

        json_array_append_new(list, json_pack("{s:s, s:s, s:b}", "label",
                                              chardev->object.id, "filename",
                                              filename, "frontend-open",
                                              chardev->handlers != NULL));
    }
    return list;
}

static json_t *query_chardev_backends(json_t *args, PropertySyntax syntax,
                                      GError **errp)
{
    const ObjectClass *const *row = object_classes(OBJECT_KIND_CHARDEV);
    json_t *list = json_array();

    for (; *row; row++) {
        json_array_append_new(list, json_pack("{s:s}", "name", (*row)->name));
    }
    return list;
}

/* Bytes that are no UTF-8 are replaced, unless base64 is asked for. */
static json_t *ringbuf_read(json_t *args, PropertySyntax syntax, GError **errp)
{
    json_int_t size = json_integer_value(json_object_get(args, "size"));
    const char *format = arg_string(args, "format");
    Chardev *chardev = chardev_ringbuf_find(arg_string(args, "device"), errp);
    g_autofree char *bytes = NULL;
    g_autofree char *text = NULL;
    size_t n;

    if (!chardev) {
        return NULL;
    }
    if (size <= 0) {
        tf_error_set(errp, "size must be greater than zero");
        return NULL;
    }
    size = MIN(size, RINGBUF_READ_MAX);
    bytes = g_malloc((gsize)size);
    n = chardev_ringbuf_take(chardev, bytes, (size_t)size);
    text = g_strcmp0(format, "base64") == 0
               ? g_base64_encode((const guchar *)bytes, n)
               : g_utf8_make_valid(bytes, (gssize)n);
    return json_string(text);
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

static const Property chardev_add_args[] = {
    COMMAND_ARG_STRING("id", PROP_REQUIRED, "its name, to be chosen"),
    {.name = "backend",
     .type = PROP_ANY,
     .flags = PROP_REQUIRED,
     .doc = "an object of \"type\" and \"data\", the backend's properties"},
    PROP_END,
};

static const Property chardev_remove_args[] = {
    COMMAND_ARG_STRING("id", PROP_REQUIRED, "the chardev's name"),
    PROP_END,
};

static const char *const ringbuf_formats[] = {"utf8", "base64", NULL};

static const Property ringbuf_read_args[] = {
    COMMAND_ARG_STRING("device", PROP_REQUIRED, "the ringbuf chardev's name"),
    {.name = "size",
     .type = PROP_UINT64,
     .flags = PROP_REQUIRED,
     .doc = "how many bytes at most"},
    {.name = "format",
     .type = PROP_STRING,
     .enum_name = "DataFormat",
     .values = ringbuf_formats,
     .doc = "how the reply shows them; default utf8"},
    PROP_END,
};

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
    {"chardev-add", chardev_add_args, true, chardev_add,
     "Make a character device", "ChardevReturn"},
    {"chardev-change", chardev_add_args, true, chardev_change,
     "Replace a character device that nobody uses", "ChardevReturn"},
    {"chardev-remove", chardev_remove_args, false, chardev_remove,
     "Remove a character device that nobody uses"},
    {"query-chardev", NULL, false, query_chardev, "List character devices",
     "[ChardevInfo]"},
    {"query-chardev-backends", NULL, false, query_chardev_backends,
     "List the types of character devices there are", "[ChardevBackendInfo]"},
    {"ringbuf-read", ringbuf_read_args, false, ringbuf_read,
     "Take what a ringbuf chardev has kept", "str"},
    {"netdev_add", netdev_add_args, true, netdev_add,
     "Make a netdev; further arguments are its properties"},
    {"netdev_del", netdev_del_args, false, netdev_del,
     "Remove a netdev and the filters on it"},
    {"query-netfilter-stats", query_netfilter_stats_args, false,
     query_netfilter_stats, "What the filters counted", "[NetFilterStats]"},
    {"query-switchover", NULL, false, query_switchover,
     "How the switchovers went", "[SwitchoverInfo]"},
    {.name = NULL},
};
