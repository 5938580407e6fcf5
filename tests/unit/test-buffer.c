/* SPDX-License-Identifier: BSD-2-Clause */
/* filter-buffer in a chain of its own, against the loop's real timers. */
#include "base/loop.h"
#include "chain-fixture.h"

#define LONG_US 60000000
#define SHORT_US 20000

static Filter *add_buffer(const char *id, int interval)
{
    g_autofree char *json =
        g_strdup_printf("{\"netdev\": \"n0\", \"interval\": %d}", interval);

    return fixture_add("filter-buffer", id, json);
}

static void set(Filter *filter, const char *name, json_t *value)
{
    g_autoptr(GError) error = NULL;

    object_set(&filter->object, name, value, PROP_SYNTAX_JSON, &error);
    json_decref(value);
    g_assert_no_error(error);
}

static void run_loop(uint64_t us)
{
    int64_t end = g_get_monotonic_time() + (int64_t)us;

    while (g_get_monotonic_time() < end) {
        loop_iterate(false);
        g_usleep(500);
    }
}

static void test_release(void)
{
    Fixture fixture;
    Filter *buffer;

    fixture_init(&fixture);
    buffer = add_buffer("b0", SHORT_US);
    fixture_send(&fixture, DIRECTION_TX, ORIGIN_OBSERVED, "ab");
    fixture_send(&fixture, DIRECTION_RX, ORIGIN_OBSERVED, "c");
    fixture_send(&fixture, DIRECTION_TX, ORIGIN_INJECTED, "d");
    fixture_check(&fixture, "");
    run_loop(2 * SHORT_US);
    /* In order of arrival, each in its direction and with its origin. */
    fixture_check(&fixture, "ab<cD");
    g_assert_cmpuint(buffer->seen[DIRECTION_TX].packets, ==, 3);
    g_assert_cmpuint(buffer->seen[DIRECTION_RX].packets, ==, 1);
    fixture_send(&fixture, DIRECTION_TX, ORIGIN_OBSERVED, "e");
    run_loop(2 * SHORT_US);
    fixture_check(&fixture, "e");
    object_destroy(&buffer->object);
    fixture_clear(&fixture);
}

static void test_interval(void)
{
    Fixture fixture;
    Filter *buffer;
    g_autoptr(GError) error = NULL;
    json_auto_t *zero = json_integer(0);

    fixture_init(&fixture);
    buffer = add_buffer("b0", LONG_US);
    fixture_send(&fixture, DIRECTION_TX, ORIGIN_OBSERVED, "a");
    run_loop(2 * SHORT_US);
    fixture_check(&fixture, "");
    g_assert_false(object_set(&buffer->object, "interval", zero,
                              PROP_SYNTAX_JSON, &error));
    g_assert_cmpstr(
        error->message, ==,
        "Property 'filter-buffer.interval' requires a positive value");
    set(buffer, "interval", json_integer(SHORT_US));
    run_loop(2 * SHORT_US);
    fixture_check(&fixture, "a");
    object_destroy(&buffer->object);
    fixture_clear(&fixture);
}

static void test_status(void)
{
    Fixture fixture;
    Filter *buffer;

    fixture_init(&fixture);
    buffer = add_buffer("b0", LONG_US);
    fixture_send(&fixture, DIRECTION_TX, ORIGIN_OBSERVED, "ab");
    set(buffer, "status", json_string("off"));
    fixture_check(&fixture, "ab");
    fixture_send(&fixture, DIRECTION_TX, ORIGIN_OBSERVED, "c");
    fixture_check(&fixture, "c");
    set(buffer, "interval", json_integer(SHORT_US));
    set(buffer, "status", json_string("on"));
    fixture_send(&fixture, DIRECTION_TX, ORIGIN_OBSERVED, "d");
    fixture_check(&fixture, "");
    run_loop(2 * SHORT_US);
    fixture_check(&fixture, "d");
    object_destroy(&buffer->object);
    fixture_clear(&fixture);
}

/* The clock is the VM's. */
static void test_stopped(void)
{
    Fixture fixture;
    Filter *buffer;

    fixture_init(&fixture);
    buffer = add_buffer("b0", SHORT_US);
    vm_set_running(vm_daemon(), false, 0);
    fixture_send(&fixture, DIRECTION_TX, ORIGIN_OBSERVED, "a");
    run_loop(3 * SHORT_US);
    fixture_check(&fixture, "");
    vm_set_running(vm_daemon(), true, 0);
    run_loop(2 * SHORT_US);
    fixture_check(&fixture, "a");
    object_destroy(&buffer->object);
    fixture_clear(&fixture);
}

/* What is released goes through the filters behind, in both orders; what is
 * held when the filter goes, goes on. */
static void test_chain(void)
{
    Fixture fixture;
    Filter *first, *second;

    fixture_init(&fixture);
    first = add_buffer("b0", LONG_US);
    second = add_buffer("b1", LONG_US);
    fixture_send(&fixture, DIRECTION_TX, ORIGIN_OBSERVED, "ab");
    fixture_send(&fixture, DIRECTION_RX, ORIGIN_OBSERVED, "c");
    object_destroy(&first->object);
    fixture_check(&fixture, "");
    g_assert_cmpuint(second->seen[DIRECTION_TX].packets, ==, 2);
    object_destroy(&second->object);
    fixture_check(&fixture, "<cab");
    fixture_clear(&fixture);
}

static void send_many(Fixture *fixture, const Packet *packet, unsigned n)
{
    PacketBatch batch = {.n = 50};

    for (unsigned i = 0; i < batch.n; i++) {
        batch.packets[i] = *packet;
    }
    for (unsigned i = 0; i < n / batch.n; i++) {
        chain_run(&fixture->netdev, DIRECTION_TX, &batch);
    }
}

static void test_bounds(void)
{
    static uint8_t large[PACKET_MAX_LEN];
    Packet packet = {.data = (const uint8_t *)"x", .len = 1};
    Fixture fixture;
    Filter *buffer;

    fixture_init(&fixture);
    buffer = add_buffer("b0", LONG_US);
    send_many(&fixture, &packet, 10100);
    g_assert_cmpuint(buffer->dropped[DROP_QUEUE_FULL].packets, ==, 100);
    object_destroy(&buffer->object);
    g_assert_cmpuint(fixture.delivered->len, ==, 10000);

    buffer = add_buffer("b0", LONG_US);
    large[0] = 'x';
    packet = (Packet){.data = large, .len = sizeof(large)};
    send_many(&fixture, &packet, 1500);
    g_assert_cmpuint(buffer->dropped[DROP_QUEUE_FULL].packets, >, 500);
    g_assert_cmpuint(buffer->dropped[DROP_QUEUE_FULL].bytes, ==,
                     buffer->dropped[DROP_QUEUE_FULL].packets * sizeof(large));
    object_destroy(&buffer->object);
    fixture_clear(&fixture);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/buffer/release", test_release);
    g_test_add_func("/buffer/interval", test_interval);
    g_test_add_func("/buffer/status", test_status);
    g_test_add_func("/buffer/stopped", test_stopped);
    g_test_add_func("/buffer/chain", test_chain);
    g_test_add_func("/buffer/bounds", test_bounds);
    return g_test_run();
}
