/* SPDX-License-Identifier: BSD-2-Clause */
#include "object/property.h"

#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A value that has been read and found good, not yet stored. */
typedef struct PropertyValue {
    const char *string; /* borrowed from the JSON value */
    uint64_t number;    /* also an enum's index */
    bool boolean;
} PropertyValue;

const char *property_label(const Property *row, PropertySyntax syntax)
{
    return syntax == PROP_SYNTAX_JSON && row->json ? row->json : row->name;
}

/* What QEMU names in a message about a value: the last part of a path. */
static const char *property_leaf(const char *label)
{
    const char *dot = strrchr(label, '.');

    return dot ? dot + 1 : label;
}

static bool property_type_error(const char *label, const char *expected,
                                GError **errp)
{
    return tf_error_set(errp, "Invalid parameter type for '%s', expected: %s",
                        label, expected);
}

static int property_word_index(const Property *row, const char *word)
{
    for (int i = 0; row->values && row->values[i]; i++) {
        if (strcmp(row->values[i], word) == 0) {
            return i;
        }
    }
    return -1;
}

static bool property_read_string(const Property *row, const char *label,
                                 json_t *value, PropertyValue *out,
                                 GError **errp)
{
    if (!json_is_string(value)) {
        return property_type_error(label, "string", errp);
    }
    out->string = json_string_value(value);
    if (strlen(out->string) != json_string_length(value)) {
        return tf_error_set(errp, "Parameter '%s' must not contain a NUL",
                            label);
    }
    if (row->values) {
        int index = property_word_index(row, out->string);

        if (index < 0) {
            return tf_error_set(errp,
                                "Parameter '%s' does not accept value '%s'",
                                property_leaf(label), out->string);
        }
        out->number = (uint64_t)index;
    }
    return true;
}

static bool property_read_bool(const char *label, json_t *value,
                               PropertySyntax syntax, PropertyValue *out,
                               GError **errp)
{
    static const char *const words[] = {"off", "on", "no",    "yes",
                                        "n",   "y",  "false", "true"};
    const char *text = json_string_value(value);

    if (json_is_boolean(value)) {
        out->boolean = json_is_true(value);
        return true;
    }
    if (syntax == PROP_SYNTAX_JSON || !text) {
        return property_type_error(label, "boolean", errp);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        if (strcmp(words[i], text) == 0) {
            out->boolean = i & 1;
            return true;
        }
    }
    return tf_error_set(errp, "Parameter '%s' expects 'on' or 'off'", label);
}

/* Bits that a size suffix shifts by; -1 if it is none. */
static int property_size_shift(const char *suffix)
{
    static const char letters[] = "bkmgtpe";
    const char *found;

    if (!suffix[0]) {
        return 0;
    }
    found = strchr(letters, g_ascii_tolower(suffix[0]));
    return found && !suffix[1] ? (int)(found - letters) * 10 : -1;
}

/* Reads decimal, hexadecimal or octal digits, and for sizes a suffix. */
static bool property_parse_number(const char *text, bool size, uint64_t *number)
{
    char *end;
    int shift;

    if (!g_ascii_isdigit(text[0])) {
        return false;
    }
    errno = 0;
    *number = g_ascii_strtoull(text, &end, 0);
    if (errno != 0) {
        return false;
    }
    if (!size) {
        return *end == '\0';
    }
    shift = property_size_shift(end);
    if (shift < 0 || *number > UINT64_MAX >> shift) {
        return false;
    }
    *number <<= shift;
    return true;
}

static uint64_t property_max(const Property *row)
{
    if (row->max) {
        return row->max;
    }
    if (row->type == PROP_UINT32) {
        return UINT32_MAX;
    }
    return row->type == PROP_AUTO_UINT32 ? PROP_AUTO - 1 : UINT64_MAX;
}

static bool property_no_uint32(const char *label, GError **errp)
{
    return tf_error_set(errp, "Parameter '%s' expects uint32_t",
                        property_leaf(label));
}

static bool property_check_range(const Property *row, const char *label,
                                 uint64_t number, GError **errp)
{
    if (number == 0 && row->min == 1) {
        if (row->zero_error) {
            return tf_error_set(errp, "%s", row->zero_error);
        }
        return tf_error_set(errp, "Parameter '%s' requires a positive value",
                            label);
    }
    if (row->type == PROP_UINT32 && number > UINT32_MAX) {
        return property_no_uint32(label, errp);
    }
    if (number < row->min || number > property_max(row)) {
        return tf_error_set(errp,
                            "Parameter '%s' expects a value from "
                            "%" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT,
                            label, row->min, property_max(row));
    }
    return true;
}

/* A number of JSON. What does not fit 64 bits with sign comes as a real. */
static bool property_read_json_number(const Property *row, const char *label,
                                      json_t *value, PropertyValue *out,
                                      GError **errp)
{
    bool small = row->type == PROP_UINT32;
    double real = json_real_value(value);

    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        out->number = (uint64_t)json_integer_value(value);
        return true;
    }
    if (small &&
        (json_is_integer(value) || (real >= 0x1p63 && real < 0x1p64))) {
        return property_no_uint32(label, errp);
    }
    return tf_error_set(errp, "Parameter '%s' expects uint64", label);
}

static bool property_read_number(const Property *row, const char *label,
                                 json_t *value, PropertySyntax syntax,
                                 PropertyValue *out, GError **errp)
{
    bool size = row->type == PROP_SIZE;
    const char *text = json_string_value(value);

    if (syntax == PROP_SYNTAX_JSON || !text) {
        if (!property_read_json_number(row, label, value, out, errp)) {
            return false;
        }
    } else if (!property_parse_number(text, size, &out->number)) {
        return tf_error_set(errp, "Parameter '%s' expects a %s value", label,
                            size ? "size" : "uint64");
    }
    return property_check_range(row, label, out->number, errp);
}

static bool property_read_auto(const Property *row, const char *label,
                               json_t *value, PropertySyntax syntax,
                               PropertyValue *out, GError **errp)
{
    const char *text = json_string_value(value);

    if (g_strcmp0(text, "auto") == 0) {
        out->number = PROP_AUTO;
        return true;
    }
    if (text && (syntax == PROP_SYNTAX_JSON ||
                 !property_parse_number(text, false, &out->number))) {
        return tf_error_set(errp,
                            "Parameter '%s' expects 'auto' or a number from "
                            "%" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT,
                            label, row->min, property_max(row));
    }
    return property_read_number(row, label, value, syntax, out, errp);
}

static bool property_read_int(const char *label, json_t *value,
                              PropertySyntax syntax, PropertyValue *out,
                              GError **errp)
{
    const char *text = json_string_value(value);
    gint64 number = json_integer_value(value);

    if (!json_is_integer(value)) {
        if (syntax == PROP_SYNTAX_JSON || !text) {
            return property_type_error(label, "integer", errp);
        }
        if (!g_ascii_string_to_signed(text, 10, INT64_MIN, INT64_MAX, &number,
                                      NULL)) {
            return tf_error_set(errp, "Parameter '%s' expects an int64 value",
                                label);
        }
    }
    out->number = (uint64_t)number;
    return true;
}

static bool property_read(const Property *row, const char *label, json_t *value,
                          PropertySyntax syntax, PropertyValue *out,
                          GError **errp)
{
    switch (row->type) {
    case PROP_STRING:
    case PROP_ENUM:
        return property_read_string(row, label, value, out, errp);
    case PROP_BOOL:
        return property_read_bool(label, value, syntax, out, errp);
    case PROP_UINT32:
    case PROP_UINT64:
    case PROP_SIZE:
        return property_read_number(row, label, value, syntax, out, errp);
    case PROP_AUTO_UINT32:
        return property_read_auto(row, label, value, syntax, out, errp);
    case PROP_INT:
        return property_read_int(label, value, syntax, out, errp);
    case PROP_OBJECT:
        return json_is_object(value) ||
               property_type_error(label, "object", errp);
    case PROP_LIST:
        return json_is_array(value) ||
               property_type_error(label, "array", errp);
    case PROP_ANY:
        break;
    }
    return true;
}

bool property_check(const Property *row, json_t *value, PropertySyntax syntax,
                    GError **errp)
{
    PropertyValue ignored = {0};

    return property_read(row, property_label(row, syntax), value, syntax,
                         &ignored, errp);
}

static void property_store(void *instance, const Property *row,
                           const PropertyValue *value)
{
    void *field = (char *)instance + row->offset;

    switch (row->type) {
    case PROP_STRING: {
        char **string = field;

        g_free(*string);
        *string = g_strdup(value->string);
        break;
    }
    case PROP_BOOL:
        *(bool *)field = value->boolean;
        break;
    case PROP_UINT32:
    case PROP_AUTO_UINT32:
        *(uint32_t *)field = (uint32_t)value->number;
        break;
    case PROP_UINT64:
    case PROP_SIZE:
        *(uint64_t *)field = value->number;
        break;
    case PROP_INT:
        *(int64_t *)field = (int64_t)value->number;
        break;
    case PROP_ENUM:
        *(int *)field = (int)value->number;
        break;
    case PROP_OBJECT:
    case PROP_LIST:
    case PROP_ANY:
        g_assert_not_reached();
    }
}

bool property_set(void *instance, const Property *row, json_t *value,
                  PropertySyntax syntax, GError **errp)
{
    return property_set_labelled(instance, row, property_label(row, syntax),
                                 value, syntax, errp);
}

bool property_set_labelled(void *instance, const Property *row,
                           const char *label, json_t *value,
                           PropertySyntax syntax, GError **errp)
{
    PropertyValue read = {0};

    if (!property_read(row, label, value, syntax, &read, errp)) {
        return false;
    }
    property_store(instance, row, &read);
    if (row->given) {
        *(bool *)((char *)instance + row->given) = true;
    }
    return true;
}

json_t *property_get(const void *instance, const Property *row)
{
    const void *field = (const char *)instance + row->offset;

    switch (row->type) {
    case PROP_STRING: {
        const char *string = *(char *const *)field;
        /* Text of a command line need not be UTF-8. */
        g_autofree char *valid = g_utf8_make_valid(string ? string : "", -1);

        return json_string(valid);
    }
    case PROP_BOOL:
        return json_boolean(*(const bool *)field);
    case PROP_UINT32:
        return json_integer(*(const uint32_t *)field);
    case PROP_UINT64:
    case PROP_SIZE:
        return json_integer((json_int_t) * (const uint64_t *)field);
    case PROP_ENUM:
        return json_string(row->values[*(const int *)field]);
    case PROP_AUTO_UINT32:
        if (*(const uint32_t *)field == PROP_AUTO) {
            return json_string("auto");
        }
        return json_integer(*(const uint32_t *)field);
    case PROP_INT:
        return json_integer(*(const int64_t *)field);
    case PROP_OBJECT:
    case PROP_LIST:
    case PROP_ANY:
        break;
    }
    return json_null();
}

void property_set_default(void *instance, const Property *row)
{
    if (row->def) {
        json_auto_t *value = json_string(row->def);
        bool ok = property_set(instance, row, value, PROP_SYNTAX_TEXT, NULL);

        g_assert(ok); /* the table's default is wrong */
    }
}

void property_clear(void *instance, const Property *row)
{
    if (row->type == PROP_STRING) {
        g_clear_pointer((char **)((char *)instance + row->offset), g_free);
    }
}

const char *property_type_name(const Property *row)
{
    if (row->enum_name) {
        return row->enum_name;
    }
    switch (row->type) {
    case PROP_STRING:
    case PROP_ENUM:
        return "string";
    case PROP_BOOL:
        return "bool";
    case PROP_UINT32:
        return "uint32";
    case PROP_UINT64:
        return "uint64";
    case PROP_SIZE:
        return "size";
    case PROP_AUTO_UINT32:
        return "auto|uint32";
    case PROP_INT:
        return "int";
    case PROP_OBJECT:
        return "object";
    case PROP_LIST:
        return "array";
    case PROP_ANY:
        break;
    }
    return "any";
}
