/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The record of a switchover: the picture keeps every frame whatever its
 * scale, kinds of flows are told apart, gaps are measured as the guest sees
 * them.
 */
#include "switchover/record.h"

#include <glib.h>
#include <string.h>

#define START 1700000000000000LL

static uint64_t sum(const Timeline *timeline, TimelineSeries series)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < TIMELINE_STEPS; i++) {
        n += timeline->series[series][i];
    }
    return n;
}

static void test_slides_until_pinned(void)
{
    static Timeline timeline;

    timeline_clear(&timeline);
    for (int i = 0; i < 5000; i++) {
        timeline_add(&timeline, TIMELINE_CAPTURED, START + i * 1000, 1);
    }
    g_assert_cmpint(timeline.step_us, ==, TIMELINE_STEP_US);
    g_assert_cmpuint(sum(&timeline, TIMELINE_CAPTURED), >=, TIMELINE_STEPS / 2);
    g_assert_cmpuint(sum(&timeline, TIMELINE_CAPTURED), <=, TIMELINE_STEPS);
    /* After a long silence it begins anew. */
    timeline_add(&timeline, TIMELINE_CAPTURED, START + (1LL << 40), 1);
    g_assert_cmpuint(sum(&timeline, TIMELINE_CAPTURED), ==, 1);
}

static void test_folds_when_pinned(void)
{
    static Timeline timeline;

    timeline_clear(&timeline);
    timeline_pin(&timeline, START);
    for (int i = 0; i < 100000; i++) {
        timeline_add(&timeline, TIMELINE_SHIPPED, START + i * 1000, 1);
        timeline_level(&timeline, START + i * 1000, i == 77 ? 500 : 3);
    }
    g_assert_cmpint(timeline.start_us, ==, START);
    g_assert_cmpint(timeline.step_us, ==, 128 * TIMELINE_STEP_US);
    g_assert_cmpuint(sum(&timeline, TIMELINE_SHIPPED), ==, 100000);
    /* Not within the room that there is, and before the beginning. */
    timeline_add(&timeline, TIMELINE_SHIPPED, START + (1LL << 50), 1);
    timeline_add(&timeline, TIMELINE_SHIPPED, START - 1, 1);
    g_assert_cmpuint(sum(&timeline, TIMELINE_SHIPPED), ==, 100000);
}

static void test_timeline_json(void)
{
    static Timeline timeline;
    json_auto_t *empty = NULL, *value = NULL;
    json_t *series, *levels;

    timeline_clear(&timeline);
    empty = timeline_to_json(&timeline);
    g_assert_null(empty);
    timeline_pin(&timeline, START);
    timeline_add(&timeline, TIMELINE_LIVE, START + 2500, 7);
    timeline_level(&timeline, START, 9);
    timeline_level(&timeline, START + 500, 5);
    timeline_level(&timeline, START + 2500, 0);
    value = timeline_to_json(&timeline);
    series = json_object_get(value, "series");
    g_assert_cmpuint(json_object_size(series), ==, 2);
    /* A step shows the most; what is left waits until somebody looks again. */
    levels = json_object_get(series, "waiting");
    for (size_t i = 0; i < 3; i++) {
        static const int64_t expected[] = {9, 5, 0};

        g_assert_cmpint(json_integer_value(json_array_get(levels, i)), ==,
                        expected[i]);
    }
    series = json_object_get(series, "live");
    g_assert_cmpuint(json_array_size(series), ==, 3);
    g_assert_cmpint(json_integer_value(json_array_get(series, 2)), ==, 7);
}

/* A frame of Ethernet type @type with @payload at its place. */
static FlowKind classify(const char *hex)
{
    uint8_t data[128];
    size_t n = strlen(hex) / 2;

    memset(data, 0, 12);
    for (size_t i = 0; i < n; i++) {
        data[12 + i] = (uint8_t)(g_ascii_xdigit_value(hex[2 * i]) << 4 |
                                 g_ascii_xdigit_value(hex[2 * i + 1]));
    }
    return flow_classify(data, (uint32_t)(12 + n));
}

static void test_kinds(void)
{
    static const struct {
        const char *hex;
        FlowKind kind;
    } rows[] = {
        {"0800450000140000000040060000", FLOW_TCP},
        {"0800450000140000000040110000", FLOW_UDP},
        {"0800450000140000000040010000", FLOW_ICMP},
        {"8100000508004500001400000000401100", FLOW_UDP},
        {"88a80001810000050800450000140000000040060000", FLOW_TCP},
        {"080645000014000000004011", FLOW_OTHER},
        {"0800450000140000", FLOW_OTHER},
        {"0800", FLOW_OTHER},
        {"08", FLOW_OTHER},
        {"", FLOW_OTHER},
        {"86dd6000000000083aff"
         "0000000000000000000000000000000000000000000000000000000000000000"
         "8000000000000000",
         FLOW_ICMP},
        /* Hop-by-hop options in front of UDP. */
        {"86dd6000000000100040"
         "0000000000000000000000000000000000000000000000000000000000000000"
         "11000000000000000000000000000000",
         FLOW_UDP},
        /* A fragment header that is cut off. */
        {"86dd6000000000042c40", FLOW_OTHER},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_assert_cmpint(classify(rows[i].hex), ==, rows[i].kind);
    }
}

/* One captured UDP frame. */
static void capture(SwitchoverRecord *record, PacketQueue *queue, int64_t us,
                    bool undelivered)
{
    static uint8_t data[64] = {[12] = 8, [23] = 17};
    PacketBatch batch = {.n = 1};

    batch.packets[0] = (Packet){
        .data = data, .len = sizeof(data), .time_ns = (START + us) * 1000};
    packet_queue_append(queue, &batch.packets[0]);
    record_captured(record, &batch, queue->next - 1, undelivered);
}

static const Flow *udp(const SwitchoverRecord *record)
{
    return &record->flows.kinds[FLOW_UDP];
}

/* The guest got frames up to number 2 and not 3; some come while it stands;
 * it sees them when it runs here again. */
static void test_gap_of_a_cancelled_migration(void)
{
    g_autofree SwitchoverRecord *record = g_new0(SwitchoverRecord, 1);
    PacketQueue queue;

    record->side = "source";
    packet_queue_init(&queue);
    for (int i = 0; i < 4; i++) {
        capture(record, &queue, i * 1000, false);
    }
    switchover_set_phase(record, "rd0", SWITCHOVER_SHIPPING);
    record_stop(record, START + 3500, &queue, 3);
    g_assert_cmpint(udp(record)->before_us, ==, START + 2000);
    g_assert_cmpint(record->arrived_first_us, ==, START + 3000);
    capture(record, &queue, 4000, true);
    record_resume(record, START + 9000);
    capture(record, &queue, 9500, false);
    g_assert_cmpint(udp(record)->gap_us, ==, 7000);
    g_assert_cmpint(udp(record)->gap_end_us, ==, START + 9000);
    g_assert_cmpint(udp(record)->first_us, ==, START + 9000);
    g_assert_cmpint(udp(record)->seen_us, ==, START + 9500);
    packet_queue_free(&queue);
}

/* The last frame of a kind that was seen is known, though its bytes are no
 * longer remembered. */
static void test_last_seen_is_older_than_the_queue(void)
{
    g_autofree SwitchoverRecord *record = g_new0(SwitchoverRecord, 1);
    PacketQueue queue;

    record->side = "source";
    packet_queue_init(&queue);
    for (int i = 0; i < 3; i++) {
        capture(record, &queue, i * 1000, false);
    }
    packet_queue_clear(&queue);
    record_stop(record, START + 3500, &queue, 2);
    g_assert_cmpint(udp(record)->before_us, ==, START + 1000);
    packet_queue_free(&queue);
}

static void test_json(void)
{
    g_autofree SwitchoverRecord *record = g_new0(SwitchoverRecord, 1);
    PacketQueue queue;
    PacketCursor cursor;
    Packet packets[2];
    json_auto_t *entry = NULL;
    json_t *waits;

    record->side = "destination";
    packet_queue_init(&queue);
    capture(record, &queue, 0, true);
    cursor = packet_queue_head(&queue);
    record_resume(record, g_get_real_time() + 1);
    record_injected(record, packet_queue_at(&queue, &cursor));
    packets[0] = packets[1] =
        packet_record_view(packet_queue_at(&queue, &cursor));
    record_passed(record, packets, 2); /* they did not wait */
    for (int i = 0; i < 3 * RECORD_PHASES; i++) {
        switchover_set_phase(record, "rd0",
                             i % 2 ? SWITCHOVER_HOLDING : SWITCHOVER_RELEASING);
    }
    entry = switchover_to_json(record, "rd0");
    waits = json_object_get(entry, "waits");
    g_assert_cmpint(json_integer_value(json_object_get(waits, "packets")), ==,
                    3);
    g_assert_cmpuint(json_array_size(json_object_get(waits, "histogram")), ==,
                     1);
    g_assert_cmpint(json_integer_value(json_object_get(entry, "held-packets")),
                    ==, 1);
    g_assert_cmpuint(json_array_size(json_object_get(entry, "phases")), ==,
                     RECORD_PHASES);
    packet_queue_free(&queue);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/record/timeline/slides", test_slides_until_pinned);
    g_test_add_func("/record/timeline/folds", test_folds_when_pinned);
    g_test_add_func("/record/timeline/json", test_timeline_json);
    g_test_add_func("/record/kinds", test_kinds);
    g_test_add_func("/record/gap", test_gap_of_a_cancelled_migration);
    g_test_add_func("/record/older", test_last_seen_is_older_than_the_queue);
    g_test_add_func("/record/json", test_json);
    return g_test_run();
}
