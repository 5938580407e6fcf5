/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Members of JSON objects that come from a daemon or a file: one that is
 * missing, or of another type, reads as "" or 0. @object may be NULL.
 */
#ifndef TF_CLI_MEMBER_H
#define TF_CLI_MEMBER_H

#include <jansson.h>

/* Borrowed from @object. */
static inline const char *member_string(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

static inline json_int_t member_integer(json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

#endif
