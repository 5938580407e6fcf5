/* SPDX-License-Identifier: BSD-2-Clause */
/* Property tables: what is taken, what is refused and with which words. */
#include "base/error.h"
#include "object/property.h"

#include <string.h>

typedef struct Thing {
    char *name;
    char *word;
    bool flag;
    uint32_t small;
    uint32_t positive;
    uint64_t large;
    uint64_t size;
    int queue;
    uint32_t overlap;
} Thing;

static const char *const words[] = {"block", "drop", NULL};
static const char *const queues[] = {"all", "rx", "tx", NULL};

enum { NAME, WORD, FLAG, SMALL, POSITIVE, LARGE, SIZE, QUEUE, OVERLAP };

static const Property rows[] = {
    [NAME] = {.name = "name", PROP_FIELD_STRING(Thing, name)},
    [WORD] = {.name = "word", PROP_FIELD_STRING(Thing, word), .values = words},
    [FLAG] = {.name = "flag", PROP_FIELD_BOOL(Thing, flag), .def = "on"},
    [SMALL] = {.name = "small", PROP_FIELD_UINT32(Thing, small)},
    [POSITIVE] = {.name = "positive",
                  PROP_FIELD_UINT32(Thing, positive),
                  .min = 1},
    [LARGE] = {.name = "large", PROP_FIELD_UINT64(Thing, large)},
    [SIZE] = {.name = "size", PROP_FIELD_SIZE(Thing, size), .def = "64M"},
    [QUEUE] = {.name = "queue",
               PROP_FIELD_ENUM(Thing, queue),
               .values = queues,
               .json = "outer.queue",
               .enum_name = "NetFilterDirection"},
    [OVERLAP] = {.name = "overlap",
                 PROP_FIELD_AUTO(Thing, overlap),
                 .def = "auto",
                 .max = 64},
    PROP_END,
};

static void thing_clear(Thing *thing)
{
    for (const Property *row = rows; row->name; row++) {
        property_clear(thing, row);
    }
}

/* Sets a row from JSON text; returns the error's words or NULL. */
static char *set_json(Thing *thing, int row, const char *json)
{
    json_auto_t *value =
        json_loads(json, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    g_autoptr(GError) error = NULL;
    bool ok;

    g_assert_nonnull(value);
    ok = property_set(thing, &rows[row], value, PROP_SYNTAX_JSON, &error);
    g_assert_cmpint(ok, ==, error == NULL);
    return error ? g_strdup(error->message) : NULL;
}

static char *set_text(Thing *thing, int row, const char *text)
{
    json_auto_t *value = json_string(text);
    g_autoptr(GError) error = NULL;
    bool ok = property_set(thing, &rows[row], value, PROP_SYNTAX_TEXT, &error);

    g_assert_cmpint(ok, ==, error == NULL);
    return error ? g_strdup(error->message) : NULL;
}

typedef char *SetFunc(Thing *thing, int row, const char *input);

typedef struct Case {
    SetFunc *set;
    int row;
    const char *input;
    const char *error; /* NULL: is taken */
    const char *value; /* what it then reads as, in JSON */
} Case;

static const Case cases[] = {
    {set_json, NAME, "\"a b\"", NULL, "\"a b\""},
    {set_json, NAME, "5", "Invalid parameter type for 'name', expected: string",
     NULL},
    {set_json, NAME, "{\"a\": 1}",
     "Invalid parameter type for 'name', expected: string", NULL},
    {set_json, NAME, "null",
     "Invalid parameter type for 'name', expected: string", NULL},
    {set_json, NAME, "\"a\\u0000b\"", "Parameter 'name' must not contain a NUL",
     NULL},
    {set_json, WORD, "\"drop\"", NULL, "\"drop\""},
    {set_json, WORD, "\"up\"", "Parameter 'word' does not accept value 'up'",
     NULL},
    {set_json, FLAG, "false", NULL, "false"},
    {set_json, FLAG, "\"on\"",
     "Invalid parameter type for 'flag', expected: boolean", NULL},
    {set_text, FLAG, "off", NULL, "false"},
    {set_text, FLAG, "yes", NULL, "true"},
    {set_text, FLAG, "n", NULL, "false"},
    {set_text, FLAG, "true", NULL, "true"},
    {set_text, FLAG, "maybe", "Parameter 'flag' expects 'on' or 'off'", NULL},
    {set_json, SMALL, "4294967295", NULL, "4294967295"},
    {set_json, SMALL, "4294967296", "Parameter 'small' expects uint32_t", NULL},
    {set_json, SMALL, "-1", "Parameter 'small' expects uint32_t", NULL},
    {set_json, SMALL, "\"5\"", "Parameter 'small' expects uint64", NULL},
    {set_json, SMALL, "1.0", "Parameter 'small' expects uint64", NULL},
    {set_json, SMALL, "true", "Parameter 'small' expects uint64", NULL},
    {set_text, SMALL, "17", NULL, "17"},
    {set_text, SMALL, "0x10", NULL, "16"},
    {set_text, SMALL, "", "Parameter 'small' expects a uint64 value", NULL},
    {set_text, SMALL, "-1", "Parameter 'small' expects a uint64 value", NULL},
    {set_text, SMALL, " 1", "Parameter 'small' expects a uint64 value", NULL},
    {set_text, SMALL, "1k", "Parameter 'small' expects a uint64 value", NULL},
    {set_text, SMALL, "4294967296", "Parameter 'small' expects uint32_t", NULL},
    {set_json, POSITIVE, "0", "Parameter 'positive' requires a positive value",
     NULL},
    {set_json, POSITIVE, "1", NULL, "1"},
    {set_json, LARGE, "9223372036854775807", NULL, "9223372036854775807"},
    {set_json, LARGE, "-1", "Parameter 'large' expects uint64", NULL},
    {set_text, LARGE, "99999999999999999999",
     "Parameter 'large' expects a uint64 value", NULL},
    {set_json, SIZE, "1024", NULL, "1024"},
    {set_json, SIZE, "\"1k\"", "Parameter 'size' expects uint64", NULL},
    {set_text, SIZE, "512", NULL, "512"},
    {set_text, SIZE, "1k", NULL, "1024"},
    {set_text, SIZE, "2M", NULL, "2097152"},
    {set_text, SIZE, "3G", NULL, "3221225472"},
    {set_text, SIZE, "1T", NULL, "1099511627776"},
    {set_text, SIZE, "1kx", "Parameter 'size' expects a size value", NULL},
    {set_text, SIZE, "M", "Parameter 'size' expects a size value", NULL},
    {set_text, SIZE, "16777216T", "Parameter 'size' expects a size value",
     NULL},
    {set_json, QUEUE, "\"tx\"", NULL, "\"tx\""},
    {set_json, QUEUE, "\"up\"", "Parameter 'queue' does not accept value 'up'",
     NULL},
    {set_text, QUEUE, "up", "Parameter 'queue' does not accept value 'up'",
     NULL},
    {set_json, QUEUE, "1",
     "Invalid parameter type for 'outer.queue', expected: string", NULL},
    {set_json, OVERLAP, "\"auto\"", NULL, "\"auto\""},
    {set_json, OVERLAP, "64", NULL, "64"},
    {set_json, OVERLAP, "65",
     "Parameter 'overlap' expects a value from 0 to 64", NULL},
    {set_json, OVERLAP, "\"5\"",
     "Parameter 'overlap' expects 'auto' or a number from 0 to 64", NULL},
    {set_text, OVERLAP, "auto", NULL, "\"auto\""},
    {set_text, OVERLAP, "0", NULL, "0"},
    {set_text, OVERLAP, "some",
     "Parameter 'overlap' expects 'auto' or a number from 0 to 64", NULL},
};

static void test_values(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        const Case *c = &cases[i];
        Thing thing = {0};
        g_autofree char *error = c->set(&thing, c->row, c->input);

        g_test_message("%s=%s", rows[c->row].name, c->input);
        g_assert_cmpstr(error, ==, c->error);
        if (c->value) {
            json_auto_t *value = property_get(&thing, &rows[c->row]);
            char *text = json_dumps(value, JSON_ENCODE_ANY);

            g_assert_cmpstr(text, ==, c->value);
            free(text);
        }
        thing_clear(&thing);
    }
}

/* A refused value leaves the old one. */
static void test_refused(void)
{
    Thing thing = {0};
    g_autofree char *first = set_json(&thing, NAME, "\"old\"");
    g_autofree char *second = set_json(&thing, NAME, "5");

    g_assert_null(first);
    g_assert_nonnull(second);
    g_assert_cmpstr(thing.name, ==, "old");
    thing_clear(&thing);
    g_assert_null(thing.name);
}

static void test_defaults(void)
{
    Thing thing = {0};
    json_auto_t *name = NULL;

    for (const Property *row = rows; row->name; row++) {
        property_set_default(&thing, row);
    }
    g_assert_true(thing.flag);
    g_assert_cmpuint(thing.size, ==, 64 << 20);
    g_assert_cmpuint(thing.overlap, ==, PROP_AUTO);
    g_assert_null(thing.name);
    name = property_get(&thing, &rows[NAME]);
    g_assert_cmpstr(json_string_value(name), ==, "");
    thing_clear(&thing);
}

static void test_type_names(void)
{
    g_assert_cmpstr(property_type_name(&rows[NAME]), ==, "string");
    g_assert_cmpstr(property_type_name(&rows[FLAG]), ==, "bool");
    g_assert_cmpstr(property_type_name(&rows[SMALL]), ==, "uint32");
    g_assert_cmpstr(property_type_name(&rows[SIZE]), ==, "size");
    g_assert_cmpstr(property_type_name(&rows[QUEUE]), ==, "NetFilterDirection");
}

/* A path that is not UTF-8 is kept, and reads as something that is. */
static void test_not_utf8(void)
{
    Thing thing = {0};
    json_auto_t *value = json_string_nocheck("/tmp/\xff");
    json_auto_t *read = NULL;

    g_assert_true(
        property_set(&thing, &rows[NAME], value, PROP_SYNTAX_TEXT, NULL));
    g_assert_cmpstr(thing.name, ==, "/tmp/\xff");
    read = property_get(&thing, &rows[NAME]);
    g_assert_true(g_utf8_validate(json_string_value(read), -1, NULL));
    thing_clear(&thing);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/property/values", test_values);
    g_test_add_func("/property/refused", test_refused);
    g_test_add_func("/property/defaults", test_defaults);
    g_test_add_func("/property/type-names", test_type_names);
    g_test_add_func("/property/not-utf8", test_not_utf8);
    return g_test_run();
}
