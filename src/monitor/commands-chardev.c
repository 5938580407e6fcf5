/* SPDX-License-Identifier: BSD-2-Clause */
/* Character devices, and what a ringbuf keeps. */
#include "monitor/command.h"

#include "chardev/chardev.h"
#include "chardev/ringbuf.h"

#include <string.h>

/* More does not fit a reply well. */
#define RINGBUF_READ_MAX (1024 * 1024)

static const char *arg_string(json_t *args, const char *name)
{
    return json_string_value(json_object_get(args, name));
}

/* Is there such a type of chardev? */
static bool chardev_check_type(const char *type, PropertySyntax syntax,
                               GError **errp)
{
    if (object_class_find(OBJECT_KIND_CHARDEV, type)) {
        return true;
    }
    return syntax == PROP_SYNTAX_JSON
               ? tf_error_set(
                     errp, "Parameter 'type' does not accept value '%s'", type)
               : tf_error_set(errp, "'%s' is not a valid char driver name",
                              type);
}

/* Checks QMP's form: backend is {"type", "data"}. */
static bool chardev_check_nested(json_t *backend, GError **errp)
{
    json_t *type = json_object_get(backend, "type");
    json_t *data = json_object_get(backend, "data");
    const char *key;
    json_t *value;

    if (!backend) {
        return tf_error_set(errp, "Parameter 'backend' is missing");
    }
    if (!json_is_object(backend)) {
        return tf_error_set(errp, "Invalid parameter type for 'backend', "
                                  "expected: object");
    }
    if (!type || (json_is_string(type) && !data)) {
        return tf_error_set(errp, "Parameter 'backend.%s' is missing",
                            type ? "data" : "type");
    }
    if (!json_is_string(type)) {
        return tf_error_set(errp, "Invalid parameter type for 'backend.type', "
                                  "expected: string");
    }
    if (!chardev_check_type(json_string_value(type), PROP_SYNTAX_JSON, errp)) {
        return false;
    }
    if (!json_is_object(data)) {
        return tf_error_set(errp, "Invalid parameter type for 'backend.data', "
                                  "expected: object");
    }
    json_object_foreach (backend, key, value) {
        if (value != type && value != data) {
            return tf_error_set(errp, "Parameter 'backend.%s' is unexpected",
                                key);
        }
    }
    return true;
}

/* Checks the command line's form: the type's name in backend, properties
 * beside. */
static bool chardev_check_flat(json_t *args, GError **errp)
{
    if (!arg_string(args, "id")) {
        return tf_error_set(errp, "chardev: no id specified");
    }
    if (!arg_string(args, "backend")) {
        return tf_error_set(errp, "chardev: \"%s\" missing backend",
                            arg_string(args, "id"));
    }
    return chardev_check_type(arg_string(args, "backend"), PROP_SYNTAX_TEXT,
                              errp);
}

static bool chardev_check(json_t *args, PropertySyntax syntax, GError **errp)
{
    const char *key;
    json_t *value;

    if (syntax == PROP_SYNTAX_TEXT) {
        return chardev_check_flat(args, errp);
    }
    if (!arg_string(args, "id")) {
        return tf_error_set(errp, "Parameter 'id' is missing");
    }
    if (!chardev_check_nested(json_object_get(args, "backend"), errp)) {
        return false;
    }
    json_object_foreach (args, key, value) {
        if (!g_str_equal(key, "id") && !g_str_equal(key, "backend")) {
            return tf_error_set(errp, "Parameter '%s' is unexpected", key);
        }
    }
    return true;
}

/* @args has passed chardev_check(). */
static json_t *chardev_new(json_t *args, PropertySyntax syntax, GError **errp)
{
    json_t *backend = json_object_get(args, "backend");
    const char *type = arg_string(args, "backend");
    json_auto_t *props = NULL;

    if (syntax == PROP_SYNTAX_JSON) {
        type = arg_string(backend, "type");
        props = json_incref(json_object_get(backend, "data"));
    } else {
        props = json_copy(args);
        json_object_del(props, "id");
        json_object_del(props, "backend");
    }
    if (!object_new(OBJECT_KIND_CHARDEV, type, arg_string(args, "id"), props,
                    syntax, errp)) {
        return NULL;
    }
    return json_object();
}

static json_t *chardev_add(json_t *args, PropertySyntax syntax, GError **errp)
{
    return chardev_check(args, syntax, errp) ? chardev_new(args, syntax, errp)
                                             : NULL;
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
    json_t *result;
    Object *obj;

    if (!chardev_check(args, syntax, errp)) {
        return NULL;
    }
    obj = object_find(OBJECT_KIND_CHARDEV, id);
    if (!obj) {
        tf_error_set(errp, "Chardev '%s' does not exist", id);
        return NULL;
    }
    if (((Chardev *)obj)->handlers) {
        tf_error_set(errp, "Chardev user does not support chardev hotswap");
        return NULL;
    }
    object_set_named(obj, false);
    result = chardev_new(args, syntax, errp);
    if (result) {
        object_destroy(obj);
    } else {
        object_set_named(obj, true);
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

/* The bytes of @data, owned; NULL and an error if they are none. */
static guchar *ringbuf_decode(const char *data, bool base64, gsize *size,
                              GError **errp)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklm"
                                 "nopqrstuvwxyz0123456789+/=\n";

    if (!base64) {
        *size = strlen(data);
        return (guchar *)g_strdup(data);
    }
    if (data[strspn(data, digits)]) {
        tf_error_set(errp, "Base64 data contains invalid characters");
        return NULL;
    }
    return g_base64_decode(data, size);
}

static json_t *ringbuf_write(json_t *args, PropertySyntax syntax, GError **errp)
{
    Chardev *chardev = chardev_ringbuf_find(arg_string(args, "device"), errp);
    bool base64 = g_strcmp0(arg_string(args, "format"), "base64") == 0;
    g_autofree guchar *bytes = NULL;
    gsize size;

    if (!chardev) {
        return NULL;
    }
    bytes = ringbuf_decode(arg_string(args, "data"), base64, &size, errp);
    if (!bytes) {
        return NULL;
    }
    chardev_writev(chardev, &(struct iovec){bytes, size}, 1);
    return json_object();
}

static const Property chardev_add_args[] = {
    /* Which of the two is missing is told by chardev_check(). */
    COMMAND_ARG_STRING("id", PROP_REQUIRED | COMMAND_ARG_LATE,
                       "its name, to be chosen"),
    {.name = "backend",
     .type = PROP_ANY,
     .flags = PROP_REQUIRED | COMMAND_ARG_LATE,
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
     .type = PROP_INT,
     .flags = PROP_REQUIRED,
     .doc = "how many bytes at most"},
    {.name = "format",
     .type = PROP_STRING,
     .enum_name = "DataFormat",
     .values = ringbuf_formats,
     .doc = "how the reply shows them; default utf8"},
    PROP_END,
};

static const Property ringbuf_write_args[] = {
    COMMAND_ARG_STRING("device", PROP_REQUIRED, "the ringbuf chardev's name"),
    COMMAND_ARG_STRING("data", PROP_REQUIRED, "what to write"),
    {.name = "format",
     .type = PROP_STRING,
     .enum_name = "DataFormat",
     .values = ringbuf_formats,
     .doc = "how data is to be read; default utf8"},
    PROP_END,
};

const Command chardev_commands[] = {
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
    {"ringbuf-write", ringbuf_write_args, false, ringbuf_write,
     "Write into a ringbuf chardev, as a frontend would"},
    {.name = NULL},
};
