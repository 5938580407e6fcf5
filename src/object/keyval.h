/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The value of an option: "key=value,key=value" (a comma inside a value is
 * doubled) or a JSON object. Command line and human monitor share it.
 */
#ifndef TF_OBJECT_KEYVAL_H
#define TF_OBJECT_KEYVAL_H

#include "object/property.h"

/*
 * Returns a JSON object, owned: of strings for key=value text, of anything
 * for JSON; @syntax says which. A leading word without '=' is the value of
 * @implied (may be NULL), a later one means "on" ("nowait": wait=off). Of a
 * key given twice the last counts.
 */
json_t *keyval_parse(const char *text, const char *implied,
                     PropertySyntax *syntax, GError **errp);

#endif
