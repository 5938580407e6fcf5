/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Property tables: what can be set on an object, written down once.
 *
 * One row drives the command line (key=value and JSON), object-add,
 * netdev_add and chardev-add, qom-get, qom-set and qom-list,
 * `-object TYPE,help`, -dump-schema, completion and the reference pages.
 * A type's rows end with PROP_END; the rows of its parent come first.
 */
#ifndef TF_OBJECT_PROPERTY_H
#define TF_OBJECT_PROPERTY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>
#include <jansson.h>

typedef enum PropertyType {
    PROP_STRING,      /* char *, owned by the instance, NULL when not given */
    PROP_BOOL,        /* bool */
    PROP_UINT32,      /* uint32_t */
    PROP_UINT64,      /* uint64_t */
    PROP_SIZE,        /* uint64_t bytes; text may end in k, M, G, T */
    PROP_ENUM,        /* int, an index into the row's values */
    PROP_AUTO_UINT32, /* uint32_t, or the word auto = PROP_AUTO */
    PROP_INT,         /* int64_t; a range is the type's own to check */
    /* Arguments of monitor commands; no field holds them. */
    PROP_OBJECT,
    PROP_LIST,
    PROP_ANY,
} PropertyType;

#define PROP_AUTO UINT32_MAX

enum {
    PROP_REQUIRED = 1 << 0,  /* creation fails without it */
    PROP_FIXED = 1 << 1,     /* qom-set refuses it after creation */
    PROP_READ_ONLY = 1 << 2, /* qom-get alone: a count, a state */
    PROP_IN_GROUP = 1 << 3,  /* creation fails without it if anything of its
                                group is given ("addr" of "addr.type"); the
                                first row of the group */
};

typedef struct Property {
    const char *name;
    PropertyType type;
    unsigned flags;
    size_t offset;             /* into the instance */
    const char *def;           /* default as text; NULL: zero, or not given */
    const char *enum_name;     /* QAPI name of an enum's type */
    const char *const *values; /* words allowed (enum, string); ends in NULL */
    uint64_t min, max;         /* numbers; max 0 means the type's own limit */
    const char *zero_error;    /* with min 1: the message for 0, where QEMU has
                                  one of its own */
    const char *json;          /* dotted name in nested JSON, if it differs
                                  (chardev-add: "addr.data.host" for host) */
    size_t given; /* PROP_GIVEN(): a bool that property_set() makes true, for
                     a default that depends on other rows; 0: none */
    const char *since;
    const char *doc; /* one sentence, for help and reference pages */
} Property;

#define PROP_END                                                               \
    {                                                                          \
        .name = NULL                                                           \
    }

/* Offset of @field, with a check that it has the C type @ctype. */
#define PROP_OFFSET(instance, field, ctype)                                    \
    (offsetof(instance, field) +                                               \
     0 * sizeof((ctype *)0 == &((instance *)0)->field))

#define PROP_FIELD_STRING(instance, field)                                     \
    .type = PROP_STRING, .offset = PROP_OFFSET(instance, field, char *)
#define PROP_FIELD_BOOL(instance, field)                                       \
    .type = PROP_BOOL, .offset = PROP_OFFSET(instance, field, bool)
#define PROP_FIELD_UINT32(instance, field)                                     \
    .type = PROP_UINT32, .offset = PROP_OFFSET(instance, field, uint32_t)
#define PROP_FIELD_UINT64(instance, field)                                     \
    .type = PROP_UINT64, .offset = PROP_OFFSET(instance, field, uint64_t)
#define PROP_FIELD_SIZE(instance, field)                                       \
    .type = PROP_SIZE, .offset = PROP_OFFSET(instance, field, uint64_t)
#define PROP_FIELD_INT(instance, field)                                        \
    .type = PROP_INT, .offset = PROP_OFFSET(instance, field, int64_t)
#define PROP_FIELD_ENUM(instance, field)                                       \
    .type = PROP_ENUM, .offset = PROP_OFFSET(instance, field, int)
#define PROP_FIELD_AUTO(instance, field)                                       \
    .type = PROP_AUTO_UINT32, .offset = PROP_OFFSET(instance, field, uint32_t)

#define PROP_GIVEN(instance, field) .given = PROP_OFFSET(instance, field, bool)

/*
 * How strict a value's JSON type is: in JSON a number is a number; in
 * key=value text every value comes as a string and is read by the row's type.
 */
typedef enum PropertySyntax {
    PROP_SYNTAX_JSON,
    PROP_SYNTAX_TEXT
} PropertySyntax;

/* Would @row take @value? Sets nothing. */
bool property_check(const Property *row, json_t *value, PropertySyntax syntax,
                    GError **errp);

/* Sets @row of @instance to @value; errors are worded as QEMU words them. */
bool property_set(void *instance, const Property *row, json_t *value,
                  PropertySyntax syntax, GError **errp);

/* Likewise, with the name that the user knows the row by. */
bool property_set_labelled(void *instance, const Property *row,
                           const char *label, json_t *value,
                           PropertySyntax syntax, GError **errp);

/* The name of @row in @syntax. */
const char *property_label(const Property *row, PropertySyntax syntax);

/* Returns the value, owned; a string that is not set reads as "". */
json_t *property_get(const void *instance, const Property *row);

/* Sets @row of a zeroed @instance to its default. */
void property_set_default(void *instance, const Property *row);

/* Frees what @row owns in @instance. */
void property_clear(void *instance, const Property *row);

/* QOM's name of the row's type: "string", "bool", "uint32", "size", …. */
const char *property_type_name(const Property *row);

#endif
