/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Option values: key=value text or JSON, read by the rows of every type. What
 * a row takes it gives back as a value that it takes again.
 *
 * Input: the text of an option; what it may not hold is cut off.
 */
#include "base/address.h"
#include "fuzz.h"
#include "object/keyval.h"
#include "object/object.h"

#include <string.h>

typedef struct Fuzz {
    json_t *props;
    PropertySyntax syntax;
} Fuzz;

static void fuzz_row(const Property *row, void *opaque)
{
    const Fuzz *fuzz = opaque;
    json_t *value = json_object_get(fuzz->props, row->name);
    union {
        uint64_t align;
        char bytes[4096];
    } instance = {.align = 0};
    json_auto_t *back = NULL;

    if (!value || row->type >= PROP_OBJECT ||
        row->offset > sizeof(instance) - 64 ||
        row->given > sizeof(instance) - 64) {
        return;
    }
    property_set_default(&instance, row);
    if (property_set(&instance, row, value, fuzz->syntax, NULL)) {
        g_assert(property_check(row, value, fuzz->syntax, NULL));
        back = property_get(&instance, row);
        g_assert(back);
        g_assert(!json_is_string(back) || *json_string_value(back) == '\0' ||
                 property_check(row, back, PROP_SYNTAX_JSON, NULL));
    }
    property_clear(&instance, row);
}

static void fuzz_classes(Fuzz *fuzz)
{
    for (int kind = 0; kind < OBJECT_KIND__MAX; kind++) {
        const ObjectClass *const *class = object_classes(kind);

        for (; *class; class ++) {
            object_class_foreach_property(*class, fuzz_row, fuzz);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autoptr(GError) error = NULL;
    g_auto(Address) address = {.type = ADDRESS_FD};
    Fuzz fuzz = {.syntax = PROP_SYNTAX_TEXT};

    fuzz.props = keyval_parse(text, "implied", &fuzz.syntax, &error);
    g_assert(!fuzz.props != !error);
    if (json_is_object(fuzz.props)) {
        fuzz_classes(&fuzz);
    }
    json_decref(fuzz.props);
    g_assert(!error || g_utf8_validate(error->message, -1, NULL));
    if (address_parse(text, &address, NULL)) {
        g_autofree char *name = address_to_string(&address);

        g_assert(name);
    }
    return 0;
}
