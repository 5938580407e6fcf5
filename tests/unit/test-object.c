/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of objects, with classes made for the purpose. */
#include "base/error.h"
#include "object/object.h"

#include <string.h>

typedef struct Pet {
    Object object;
    char *owner;
    bool tame;
    bool fail; /* complete() fails */
    char *host;
    char *port;
} Pet;

static GString *journal;

static bool pet_complete(Object *obj, GError **errp)
{
    g_string_append_printf(journal, "+%s ", obj->id);
    /* Not to be found before it is whole. */
    g_assert_null(object_find(obj->class->kind, obj->id));
    return !((Pet *)obj)->fail || tf_error_set(errp, "It fails");
}

static void pet_finalize(Object *obj)
{
    g_string_append_printf(journal, "-%s ", obj->id);
}

static bool pet_changed(Object *obj, const Property *row, GError **errp)
{
    g_string_append_printf(journal, "%s.%s ", obj->id, row->name);
    return true;
}

static const Property pet_props[] = {
    {.name = "owner",
     PROP_FIELD_STRING(Pet, owner),
     .flags = PROP_REQUIRED | PROP_FIXED},
    {.name = "tame", PROP_FIELD_BOOL(Pet, tame), .def = "on"},
    {.name = "fail", PROP_FIELD_BOOL(Pet, fail)},
    PROP_END,
};

static const ObjectClass pet_class = {
    .name = "pet",
    .size = sizeof(Pet),
    .props = pet_props,
    .complete = pet_complete,
    .finalize = pet_finalize,
    .changed = pet_changed,
};

static bool cat_can_be_deleted(Object *obj, GError **errp)
{
    return ((Pet *)obj)->tame || tf_error_set(errp, "The cat says no");
}

static const Property cat_props[] = {
    {.name = "host", PROP_FIELD_STRING(Pet, host), .json = "addr.data.host"},
    {.name = "port", PROP_FIELD_STRING(Pet, port), .json = "addr.port"},
    PROP_END,
};

static const ObjectClass cat_class = {
    .name = "cat",
    .parent = &pet_class,
    .size = sizeof(Pet),
    .props = cat_props,
    .can_be_deleted = cat_can_be_deleted,
};

static const ObjectClass dog_class = {
    .name = "dog",
    .parent = &pet_class,
    .kind = OBJECT_KIND_NETDEV,
    .size = sizeof(Pet),
};

static const ObjectClass *const object_rows[] = {&cat_class, NULL};
static const ObjectClass *const netdev_rows[] = {&dog_class, NULL};
static const ObjectClass *const no_rows[] = {NULL};

/* In place of the generated table. */
const ObjectClass *const *object_classes(ObjectKind kind)
{
    return kind == OBJECT_KIND_OBJECT   ? object_rows
           : kind == OBJECT_KIND_NETDEV ? netdev_rows
                                        : no_rows;
}

static Pet *make(ObjectKind kind, const char *type, const char *id,
                 const char *json, char **message)
{
    json_auto_t *props = json_loads(json, 0, NULL);
    g_autoptr(GError) error = NULL;
    Object *obj;

    g_assert_nonnull(props);
    obj = object_new(kind, type, id, props, PROP_SYNTAX_JSON, &error);
    g_assert_cmpint(obj != NULL, ==, error == NULL);
    if (message) {
        *message = error ? g_strdup(error->message) : NULL;
    }
    return (Pet *)obj;
}

static void setup(void)
{
    journal = g_string_new(NULL);
}

static void teardown(void)
{
    object_destroy_all();
    g_string_free(journal, TRUE);
}

static void test_life(void)
{
    Pet *cat;
    g_autoptr(GError) error = NULL;

    setup();
    cat = make(OBJECT_KIND_OBJECT, "cat", "tom", "{\"owner\": \"me\"}", NULL);
    g_assert_true(cat->tame);
    g_assert_cmpstr(cat->owner, ==, "me");
    g_assert_true(object_find(OBJECT_KIND_OBJECT, "tom") == &cat->object);
    g_assert_null(object_find(OBJECT_KIND_NETDEV, "tom"));
    g_assert_true(object_is_a(&cat->object, &pet_class));
    g_assert_false(object_is_a(&cat->object, &dog_class));
    g_assert_true(object_del(&cat->object, &error));
    g_assert_cmpstr(journal->str, ==, "+tom -tom ");
    g_assert_null(object_find(OBJECT_KIND_OBJECT, "tom"));
    teardown();
}

static void test_errors(void)
{
    static const struct {
        const char *type, *id, *json, *error;
    } cases[] = {
        {"dog", "a", "{}", "Parameter 'qom-type' does not accept value 'dog'"},
        {"cat", NULL, "{}", "Parameter 'id' is missing"},
        {"cat", "a", "{}", "Parameter 'owner' is missing"},
        /* In the order of the rows, unknown ones last. */
        {"cat", "a", "{\"x\": 1}", "Parameter 'owner' is missing"},
        {"cat", "a", "{\"tame\": 1, \"owner\": 2}",
         "Invalid parameter type for 'owner', expected: string"},
        {"cat", "a", "{\"x\": 1, \"owner\": \"o\"}",
         "Parameter 'x' is unexpected"},
        {"cat", "1a", "{\"owner\": \"o\"}",
         "Parameter 'id' expects an identifier"},
        {"cat", "", "{\"owner\": \"o\"}",
         "Parameter 'id' expects an identifier"},
        {"cat", "a/b", "{\"owner\": \"o\"}",
         "Parameter 'id' expects an identifier"},
        {"cat", "tom", "{\"owner\": \"o\"}",
         "attempt to add duplicate property 'tom' to object (type "
         "'container')"},
        {"cat", "a", "{\"owner\": \"o\", \"fail\": true}", "It fails"},
        {"cat", "a", "{\"owner\": \"o\", \"addr\": 5}",
         "Invalid parameter type for 'addr', expected: object"},
        {"cat", "a", "{\"owner\": \"o\", \"addr\": {\"bogus\": 5}}",
         "Parameter 'addr.bogus' is unexpected"},
        {"cat", "a", "{\"owner\": \"o\", \"addr\": {\"port\": 5}}",
         "Invalid parameter type for 'addr.port', expected: string"},
        {"cat", "a", "{\"owner\": {\"a\": 1}}",
         "Invalid parameter type for 'owner', expected: string"},
    };

    setup();
    make(OBJECT_KIND_OBJECT, "cat", "tom", "{\"owner\": \"me\"}", NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *message = NULL;

        g_string_truncate(journal, 0);
        g_assert_null(make(OBJECT_KIND_OBJECT, cases[i].type, cases[i].id,
                           cases[i].json, &message));
        g_assert_cmpstr(message, ==, cases[i].error);
        /* No trace: whatever was begun was undone. */
        g_assert_cmpuint(object_list(OBJECT_KIND_OBJECT)->len, ==, 1);
        g_assert_true(journal->len == 0 || strcmp(journal->str, "+a -a ") == 0);
    }
    teardown();
}

static void test_nested(void)
{
    Pet *cat;

    setup();
    cat = make(OBJECT_KIND_OBJECT, "cat", "a",
               "{\"owner\": \"o\", \"addr\": {\"data\": {\"host\": \"h\"},"
               " \"port\": \"1\"}}",
               NULL);
    g_assert_cmpstr(cat->host, ==, "h");
    g_assert_cmpstr(cat->port, ==, "1");
    /* The flat name does as well. */
    cat = make(OBJECT_KIND_OBJECT, "cat", "b",
               "{\"owner\": \"o\", \"host\": \"h\"}", NULL);
    g_assert_cmpstr(cat->host, ==, "h");
    teardown();
}

/* Nesting without end is refused in little memory. */
static void test_deep(void)
{
    json_auto_t *props = json_object();
    json_t *inner = props;
    g_autofree char *key = g_strnfill(1000, 'k');
    g_autoptr(GError) error = NULL;

    setup();
    json_object_set_new(props, "owner", json_string("o"));
    for (int i = 0; i < 1000; i++) {
        json_t *next = json_object();

        json_object_set_new(inner, i ? key : "addr", next);
        inner = next;
    }
    g_assert_null(object_new(OBJECT_KIND_OBJECT, "cat", "a", props,
                             PROP_SYNTAX_JSON, &error));
    g_assert_nonnull(error);
    teardown();
}

static void test_set(void)
{
    Pet *cat;
    json_auto_t *no = json_false();
    json_auto_t *text = json_string("x");
    json_auto_t *value = NULL;
    g_autoptr(GError) missing = NULL;
    g_autoptr(GError) fixed = NULL;
    g_autoptr(GError) wrong = NULL;

    setup();
    cat = make(OBJECT_KIND_OBJECT, "cat", "a", "{\"owner\": \"o\"}", NULL);
    g_string_truncate(journal, 0);
    g_assert_true(object_set(&cat->object, "tame", no, PROP_SYNTAX_JSON, NULL));
    g_assert_cmpstr(journal->str, ==, "a.tame ");
    value = object_get(&cat->object, "tame", NULL);
    g_assert_true(json_is_false(value));
    g_assert_false(
        object_set(&cat->object, "x", no, PROP_SYNTAX_JSON, &missing));
    g_assert_cmpstr(missing->message, ==, "Property 'cat.x' not found");
    g_assert_false(
        object_set(&cat->object, "owner", text, PROP_SYNTAX_JSON, &fixed));
    g_assert_cmpstr(fixed->message, ==, "Property 'cat.owner' is not writable");
    g_assert_false(
        object_set(&cat->object, "tame", text, PROP_SYNTAX_JSON, &wrong));
    g_assert_null(object_get(&cat->object, "x", NULL));
    teardown();
}

static void test_delete_refused(void)
{
    Pet *cat;
    g_autoptr(GError) used = NULL;
    g_autoptr(GError) refused = NULL;

    setup();
    cat = make(OBJECT_KIND_OBJECT, "cat", "a", "{\"owner\": \"o\"}", NULL);
    cat->object.users = 1;
    g_assert_false(object_del(&cat->object, &used));
    g_assert_cmpstr(used->message, ==,
                    "object 'a' is in use, can not be deleted");
    cat->object.users = 0;
    cat->tame = false;
    g_assert_false(object_del(&cat->object, &refused));
    g_assert_cmpstr(refused->message, ==, "The cat says no");
    g_assert_nonnull(object_find(OBJECT_KIND_OBJECT, "a"));
    teardown();
}

/* Newest first, kind by kind; what is held goes behind its holders. */
static void test_destroy_all(void)
{
    Pet *held;

    setup();
    held = make(OBJECT_KIND_OBJECT, "cat", "vm", "{\"owner\": \"o\"}", NULL);
    make(OBJECT_KIND_NETDEV, "dog", "n0", "{\"owner\": \"o\"}", NULL);
    make(OBJECT_KIND_OBJECT, "cat", "f0", "{\"owner\": \"o\"}", NULL);
    make(OBJECT_KIND_OBJECT, "cat", "f1", "{\"owner\": \"o\"}", NULL);
    held->object.users = 1;
    g_string_truncate(journal, 0);
    object_destroy_all();
    g_assert_cmpstr(journal->str, ==, "-f1 -f0 -n0 -vm ");
    teardown();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/object/life", test_life);
    g_test_add_func("/object/errors", test_errors);
    g_test_add_func("/object/nested", test_nested);
    g_test_add_func("/object/deep", test_deep);
    g_test_add_func("/object/set", test_set);
    g_test_add_func("/object/delete-refused", test_delete_refused);
    g_test_add_func("/object/destroy-all", test_destroy_all);
    return g_test_run();
}
