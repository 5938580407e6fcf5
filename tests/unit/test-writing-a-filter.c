/* SPDX-License-Identifier: BSD-2-Clause */
/* The filter of docs/writing-a-filter.md, compiled from that page. */
#include "chain-fixture.h"

extern const FilterClass filter_limit_class;

/* Instead of the table that the build makes: this type alone. */
const ObjectClass *const *object_classes(ObjectKind kind)
{
    static const ObjectClass *const none[] = {NULL};
    static const ObjectClass *const filters[] = {&filter_limit_class.object,
                                                 NULL};

    return kind == OBJECT_KIND_OBJECT ? filters : none;
}

static void send_frame(Fixture *fixture, uint32_t len)
{
    static const uint8_t bytes[2000] = {'x'};
    PacketBatch batch = {.n = 1, .packets = {{.data = bytes, .len = len}}};

    chain_run(&fixture->netdev, DIRECTION_TX, &batch);
}

static void set_maxlen(Filter *limit, int value, const char *error_text)
{
    g_autoptr(GError) error = NULL;
    json_auto_t *json = json_integer(value);

    object_set(&limit->object, "maxlen", json, PROP_SYNTAX_JSON, &error);
    g_assert_cmpstr(error ? error->message : NULL, ==, error_text);
}

static void test_limit(void)
{
    Fixture fixture;
    Filter *limit;
    json_auto_t *stats = NULL;
    json_t *dropped;

    fixture_init(&fixture);
    limit = fixture_add("filter-limit", "f0", "{\"netdev\": \"n0\"}");
    send_frame(&fixture, 1514);
    send_frame(&fixture, 1515);
    fixture_check(&fixture, "x");
    set_maxlen(limit, 100, NULL);
    set_maxlen(limit, 13,
               "Parameter 'maxlen' expects a value from 14 to 4294967295");
    send_frame(&fixture, 100);
    send_frame(&fixture, 101);
    fixture_check(&fixture, "x");

    stats = filter_stats(limit);
    g_assert_cmpint(json_integer_value(json_object_get(stats, "packets-tx")),
                    ==, 4);
    dropped = json_array_get(json_object_get(stats, "counters"), 0);
    g_assert_cmpstr(json_string_value(json_object_get(dropped, "name")), ==,
                    "dropped-oversize");
    g_assert_cmpint(json_integer_value(json_object_get(dropped, "packets")), ==,
                    2);
    object_destroy(&limit->object);
    fixture_clear(&fixture);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/writing-a-filter/limit", test_limit);
    return g_test_run();
}
