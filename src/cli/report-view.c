/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The report in words and figures:
 *   {"title", "about", "verdict", "class": "good|bad",
 *    "facts": [{"name", "value"}], "gaps": [{"kind", "gap", "when"}],
 *    "sides": [{"title", "ledger": [{"name", "packets", "bytes", "meaning"}],
 *               "sum", "class", "drops": [{"cause", "packets", "class"}],
 *               "times": [{"name", "value"}],
 *               "waits": [{"range", "packets", "share"}]}],
 *    "picture": see report-picture.c}
 */
#include "cli/report.h"

#include "cli/member.h"
#include "cli/words.h"

#include <string.h>

/* Takes @value. */
static void add_row(json_t *rows, const char *name, char *value)
{
    json_array_append_new(
        rows, json_pack("{s:s, s:s}", "name", name, "value", value));
    g_free(value);
}

/* Facts */

static void add_held(json_t *rows, json_t *side)
{
    json_t *switchover = json_object_get(side, "switchover");
    json_t *waits = json_object_get(switchover, "waits");
    g_autofree char *count =
        words_count(report_integer(switchover, "held-packets"));
    g_autofree char *bytes =
        words_bytes(report_integer(switchover, "held-bytes"));
    g_autofree char *longest =
        words_duration(report_integer(switchover, "longest-hold-us"));
    g_autofree char *mean = words_duration(report_integer(waits, "mean-us"));

    if (report_integer(switchover, "held-packets") > 0) {
        add_row(rows, "Held until the VM ran",
                g_strdup_printf("%s frames, %s; %s at most, %s on average",
                                count, bytes, longest, mean));
    }
}

static void add_method(json_t *rows, json_t *source)
{
    const char *method =
        member_string(json_object_get(source, "switchover"), "method");

    if (!strcmp(method, "used-index")) {
        add_row(rows, "What the VM got was told",
                g_strdup("exactly, by its own receive queue"));
    } else if (*method) {
        add_row(rows, "What the VM got was told",
                g_strdup("by the TAP's counters; some frames may come twice"));
    }
}

static char *words_after(json_int_t us)
{
    g_autofree char *time = words_duration(us);

    return g_strconcat(time, " after the VM ran here", NULL);
}

static void add_since_resume(json_t *rows, json_t *side)
{
    json_int_t resume = report_time(side, "resume-us");
    json_int_t first = report_time(side, "first-us");
    json_int_t last = report_time(side, "last-us");

    if (resume > 0 && first >= resume) {
        add_row(rows, "First frame injected", words_after(first - resume));
        add_row(rows, "Last frame injected", words_after(last - resume));
    }
}

static json_t *view_facts(json_t *report)
{
    json_t *rows = json_array();
    json_t *source = report_side(report, "source");
    json_t *destination = report_side(report, "destination");
    json_int_t downtime = report_integer(report, "downtime-us");

    if (downtime > 0) {
        add_row(rows, "The VM stood still for", words_duration(downtime));
    }
    if (source) {
        add_row(rows, "Shipped", words_count(report_packets(source, "outdev")));
    }
    if (report_link(source, "repeated") > 0) {
        add_row(rows, "Shipped again to another daemon",
                words_count(report_link(source, "repeated")));
    }
    if (report_packets(source, "reinjected") > 0) {
        add_row(rows, "Given back here",
                words_count(report_packets(source, "reinjected")));
    }
    if (destination) {
        add_row(rows, "Injected",
                words_count(report_packets(destination, "out_netdev")));
        add_row(rows, "Not injected twice (duplicates)",
                words_count(report_packets(destination, "duplicate")));
        add_row(rows, "Live frames that overtook held ones",
                words_count(report_time(destination, "overtaking-packets")));
        add_row(rows, "Live frames that found the TAP full",
                words_count(report_time(destination, "turned-away-packets")));
        add_held(rows, destination);
        add_since_resume(rows, destination);
    }
    add_method(rows, source);
    return rows;
}

static json_t *view_gaps(json_t *report)
{
    static const char *const names[][2] = {
        {"tcp", "TCP"}, {"udp", "UDP"}, {"icmp", "ICMP"}, {"other", "Other"}};
    json_t *rows = json_array();
    json_t *gap;
    size_t i;

    json_array_foreach (json_object_get(report, "gaps"), i, gap) {
        const char *name = member_string(gap, "kind");
        g_autofree char *length = words_duration(report_integer(gap, "gap-us"));
        g_autofree char *when = words_clock(report_integer(gap, "end-us"));

        for (unsigned k = 0; k < G_N_ELEMENTS(names); k++) {
            name = !strcmp(names[k][0], name) ? names[k][1] : name;
        }
        json_array_append_new(rows, json_pack("{s:s, s:s, s:s}", "kind", name,
                                              "gap", length, "when", when));
    }
    return rows;
}

/* A side */

typedef struct Fate {
    const char *name, *meaning;
} Fate;

static const Fate source_fates[] = {
    {"in_netdev", "captured: came in"},
    {"delivered", "the VM got them here"},
    {"outdev", "shipped to the other host"},
    {"pending", "in the TAP's queue; the VM may still take them"},
    {"queued", "wait to be shipped"},
    {"reinjected", "of those shipped: given back, as the VM stayed"},
};

static const Fate destination_fates[] = {
    {"indev", "received: came in"},
    {"out_netdev", "injected: the VM got them here"},
    {"held", "wait for the VM"},
    {"duplicate", "the network had delivered them already"},
    {"discarded", "thrown away: the VM never ran here"},
};

static json_t *view_counter(json_t *side, const char *name, const char *meaning)
{
    json_t *counter = report_counter(side, name);
    json_int_t n = report_integer(counter, "packets");
    g_autofree char *packets = words_count(n);
    g_autofree char *bytes = words_bytes(report_integer(counter, "bytes"));

    return counter ? json_pack("{s:s, s:s, s:s, s:s, s:b}", "name", name,
                               "packets", packets, "bytes", bytes, "meaning",
                               meaning, "none", n == 0)
                   : NULL;
}

static json_t *view_ledger(json_t *side, bool source)
{
    const Fate *fates = source ? source_fates : destination_fates;
    size_t n =
        source ? G_N_ELEMENTS(source_fates) : G_N_ELEMENTS(destination_fates);
    json_t *rows = json_array();

    for (size_t i = 0; i < n; i++) {
        json_t *row = view_counter(side, fates[i].name, fates[i].meaning);

        if (row) {
            json_array_append_new(rows, row);
        }
    }
    return rows;
}

static json_t *view_drops(json_t *side)
{
    json_t *rows = json_array();
    json_t *entry;
    size_t i;

    json_array_foreach (report_counters(side), i, entry) {
        const char *name = member_string(entry, "name");
        json_int_t n = report_integer(entry, "packets");

        if (g_str_has_prefix(name, "dropped-")) {
            g_autofree char *packets = words_count(n);

            json_array_append_new(rows, json_pack("{s:s, s:s, s:s}", "cause",
                                                  name + strlen("dropped-"),
                                                  "packets", packets, "class",
                                                  n ? "bad" : "none"));
        }
    }
    return rows;
}

static json_t *view_times(json_t *side, bool source)
{
    static const char *const keys[][3] = {
        {"stop-us", "the VM stopped", NULL},
        {"arrived-first-us", "first undelivered frame", "first frame received"},
        {"first-us", "first frame shipped", "first frame injected"},
        {"resume-us", "the VM ran here again", "the VM ran here"},
        {"last-us", "last frame shipped", "last frame injected"},
        {"arrived-last-us", "last undelivered frame", "last frame received"},
    };
    json_t *rows = json_array();
    json_int_t before = 0;

    /* One after the other, as they happened. */
    for (;;) {
        json_int_t next = 0;
        unsigned at = 0;

        for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++) {
            json_int_t time = report_time(side, keys[i][0]);

            if (keys[i][source ? 1 : 2] && time > before &&
                (next == 0 || time < next)) {
                next = time;
                at = i;
            }
        }
        if (next == 0) {
            return rows;
        }
        add_row(rows, keys[at][source ? 1 : 2], words_clock(next));
        before = next;
    }
}

/* How long frames waited to be shipped or injected, as bars. */
static json_t *view_waits(json_t *side)
{
    json_t *waits =
        json_object_get(json_object_get(side, "switchover"), "waits");
    json_int_t all = MAX(report_integer(waits, "packets"), 1);
    json_t *rows = json_array();
    json_t *entry;
    size_t i;

    json_array_foreach (json_object_get(waits, "histogram"), i, entry) {
        json_int_t n = report_integer(entry, "packets");
        json_int_t below = report_integer(entry, "below-us");
        g_autofree char *limit = words_duration(below ? below : 16384000);
        g_autofree char *range = g_strconcat(below ? "below " : "", limit,
                                             below ? "" : " or more", NULL);
        g_autofree char *packets = words_count(n);
        char share[G_ASCII_DTOSTR_BUF_SIZE];

        g_ascii_formatd(share, sizeof(share), "%.1f",
                        100 * (double)n / (double)all);
        json_array_append_new(rows,
                              json_pack("{s:s, s:s, s:s}", "range", range,
                                        "packets", packets, "share", share));
    }
    return rows;
}

static json_t *view_side(json_t *side)
{
    bool source = !strcmp(member_string(side, "side"), "source");
    g_autofree char *title =
        g_strdup_printf("%s (%s)", source ? "The old host" : "The new host",
                        member_string(side, "host"));
    json_int_t came, accounted;
    g_autofree char *came_words = NULL;
    g_autofree char *sum = NULL;

    report_balance(side, &came, &accounted);
    came_words = words_count(came);
    if (came == accounted) {
        sum = g_strdup_printf("The ledger balances: each of %s frames has its "
                              "place",
                              came_words);
    } else {
        g_autofree char *accounted_words = words_count(accounted);

        sum = g_strdup_printf("The ledger does not balance: %s frames came "
                              "in, %s are accounted for",
                              came_words, accounted_words);
    }
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "title", title,
                     "sum", sum, "class", came == accounted ? "good" : "bad",
                     "ledger", view_ledger(side, source), "drops",
                     view_drops(side), "times", view_times(side, source),
                     "waits", view_waits(side));
}

json_t *report_view(json_t *report)
{
    json_t *verdict = json_object_get(report, "verdict");
    json_t *sides = json_array();
    json_t *picture = report_picture(report);
    g_autofree char *text = g_strdup(member_string(verdict, "text"));
    g_autofree char *made = words_date(report_integer(report, "made-us"));
    g_autofree char *about = g_strdup_printf(
        "tapferry %s, %s", member_string(report, "version"), made);
    json_t *side, *view;
    size_t i;

    json_array_foreach (json_object_get(report, "sides"), i, side) {
        json_array_append_new(sides, view_side(side));
    }
    text[0] = g_ascii_toupper(text[0]);
    view = json_pack(
        "{s:s, s:s, s:s, s:s, s:o, s:o, s:o}", "title", "Switchover report",
        "about", about, "verdict", text, "class",
        json_is_true(json_object_get(verdict, "ok")) ? "good" : "bad", "facts",
        view_facts(report), "gaps", view_gaps(report), "sides", sides);
    if (picture) {
        json_object_set_new(view, "picture", picture);
    }
    return view;
}
