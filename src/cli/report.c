/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/report.h"

#include "base/version.h"
#include "cli/client.h"
#include "cli/member.h"
#include "cli/words.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const outcome_names[] = {
    [OUTCOME_UNDER_WAY] = "under-way",   [OUTCOME_COMPLETED] = "completed",
    [OUTCOME_CANCELLED] = "cancelled",   [OUTCOME_INTERRUPTED] = "interrupted",
    [OUTCOME_UNFINISHED] = "unfinished", [OUTCOME_VM_ENDED] = "vm-ended",
};

const char *report_outcome_name(Outcome outcome)
{
    return outcome_names[outcome];
}

json_t *report_new_side(const char *side, const char *outcome,
                        json_t *switchover, json_t *stats, bool was_connected)
{
    return json_pack("{s:s, s:s, s:s, s:b, s:O?, s:O}", "side", side, "host",
                     g_get_host_name(), "outcome", outcome, "was-connected",
                     was_connected, "switchover", switchover, "stats", stats);
}

/* Sums and differences of such numbers do not overflow. */
#define NUMBER_MAX (1LL << 52)

json_int_t report_number(json_t *value)
{
    return CLAMP(json_integer_value(value), 0, NUMBER_MAX);
}

json_int_t report_integer(json_t *object, const char *key)
{
    return report_number(json_object_get(object, key));
}

json_t *report_counters(json_t *side)
{
    return json_object_get(json_object_get(side, "stats"), "counters");
}

json_t *report_find_counter(json_t *stats, const char *name)
{
    json_t *entry;
    size_t i;

    json_array_foreach (json_object_get(stats, "counters"), i, entry) {
        if (strcmp(member_string(entry, "name"), name) == 0) {
            return entry;
        }
    }
    return NULL;
}

json_t *report_counter(json_t *side, const char *name)
{
    return report_find_counter(json_object_get(side, "stats"), name);
}

json_int_t report_packets(json_t *side, const char *counter)
{
    return report_integer(report_counter(side, counter), "packets");
}

json_t *report_side(json_t *report, const char *name)
{
    json_t *side;
    size_t i;

    json_array_foreach (json_object_get(report, "sides"), i, side) {
        if (g_strcmp0(json_string_value(json_object_get(side, "side")), name) ==
            0) {
            return side;
        }
    }
    return NULL;
}

json_int_t report_time(json_t *side, const char *key)
{
    return report_integer(json_object_get(side, "switchover"), key);
}

static json_t *report_part_of(json_t *side, const char *part)
{
    return json_object_get(json_object_get(side, "switchover"), part);
}

static json_int_t report_part(json_t *side, const char *part, const char *key)
{
    return report_integer(report_part_of(side, part), key);
}

json_int_t report_link(json_t *side, const char *key)
{
    return report_part(side, "link", key);
}

static bool side_ended(json_t *side, Outcome outcome)
{
    return side &&
           !strcmp(member_string(side, "outcome"), outcome_names[outcome]);
}

static bool side_is_source(json_t *side)
{
    return !strcmp(member_string(side, "side"), "source");
}

/* The verdict */

static const char *const source_fates[] = {"delivered", "pending", "outdev",
                                           "queued", NULL};
static const char *const destination_fates[] = {"out_netdev", "held",
                                                "duplicate", "discarded", NULL};

void report_balance(json_t *side, json_int_t *came, json_int_t *accounted)
{
    bool source = side_is_source(side);
    json_t *entry;
    size_t i;

    *came = report_packets(side, source ? "in_netdev" : "indev");
    *accounted = 0;
    json_array_foreach (report_counters(side), i, entry) {
        const char *name = member_string(entry, "name");

        if (g_str_has_prefix(name, "dropped-") ||
            g_strv_contains(source ? source_fates : destination_fates, name)) {
            *accounted += report_integer(entry, "packets");
        }
    }
}

static void add_problem(json_t *problems, const char *format, ...)
    G_GNUC_PRINTF(2, 3);

static void add_problem(json_t *problems, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    va_start(ap, format);
    text = g_strdup_vprintf(format, ap);
    va_end(ap);
    json_array_append_new(problems, json_string(text));
}

/* "1 frame was", "2 frames were". */
static char *frames_were(json_int_t n)
{
    return g_strdup_printf("%" JSON_INTEGER_FORMAT " frame%s", n,
                           n == 1 ? " was" : "s were");
}

static void add_losses(json_t *problems, json_t *side)
{
    json_t *counters =
        json_object_get(json_object_get(side, "stats"), "counters");
    json_int_t came, accounted;
    json_t *entry;
    size_t i;

    report_balance(side, &came, &accounted);
    if (came != accounted) {
        add_problem(problems,
                    "the %s's ledger does not balance: %" JSON_INTEGER_FORMAT
                    " frames came in, %" JSON_INTEGER_FORMAT
                    " are accounted for",
                    member_string(side, "side"), came, accounted);
    }
    json_array_foreach (counters, i, entry) {
        json_int_t n = report_integer(entry, "packets");
        const char *name = member_string(entry, "name");
        g_autofree char *words = frames_were(n);

        if (n > 0 && g_str_has_prefix(name, "dropped-")) {
            add_problem(problems, "%s lost at the %s (%s)", words,
                        member_string(side, "side"), name);
        }
    }
}

/* What the source knows of the link, the destination has heard from it. */
static void add_link_problems(json_t *problems, json_t *report)
{
    json_t *source = report_side(report, "source");
    json_t *side = source ? source : report_side(report, "destination");
    json_int_t lost = report_link(side, "lost");
    json_int_t missing = report_link(side, "missing");
    json_int_t unsaid = report_link(source, "unconfirmed");
    g_autofree char *lost_words = frames_were(lost);
    g_autofree char *missing_words = frames_were(missing);
    g_autofree char *unsaid_words = frames_were(unsaid);

    if (lost > 0) {
        add_problem(problems,
                    "%s lost when the connection between the hosts broke",
                    lost_words);
    }
    if (missing > 0) {
        add_problem(problems,
                    "%s lost when a daemon of the source ended and another "
                    "one followed",
                    missing_words);
    } else if (report_link(side, "vanished") > 0 &&
               !json_object_get(report_part_of(side, "link"), "missing")) {
        add_problem(problems, "a daemon of the source ended without a word: "
                              "what it had captured and not sent, and what "
                              "came until the next one, was lost and is not "
                              "counted, but for what that found in the TAP's "
                              "queue");
    }
    if (unsaid > 0 && !side_ended(source, OUTCOME_UNDER_WAY)) {
        add_problem(problems,
                    "%s shipped, and the destination did not confirm "
                    "them",
                    unsaid_words);
    }
}

/* What is left when nobody waits for it any more. */
static void add_left_over(json_t *problems, json_t *side)
{
    bool source = side_is_source(side);
    json_int_t n = report_packets(side, source ? "queued" : "held") +
                   (source ? report_packets(side, "pending") : 0);
    g_autofree char *words = frames_were(n);

    if (side_ended(side, OUTCOME_INTERRUPTED)) {
        add_problem(problems, "interrupted: %s left at the %s",
                    n ? words : "nothing was", member_string(side, "side"));
    } else if (side_ended(side, OUTCOME_UNFINISHED)) {
        add_problem(problems, "%s left at the %s: %s", words,
                    member_string(side, "side"),
                    source ? "the destination did not take them"
                           : "the VM did not take them");
    }
}

static void add_side_problems(json_t *problems, json_t *side)
{
    json_int_t away = report_time(side, "turned-away-packets");
    json_int_t cost = report_part(side, "tap-queue", "lost");
    g_autofree char *words = frames_were(away);
    g_autofree char *cost_words = frames_were(cost);

    if (away > 0) {
        add_problem(problems,
                    "%s lost at the %s (its TAP was full: the VM was slower "
                    "than the network)",
                    words, member_string(side, "side"));
    }
    if (cost > 0) {
        add_problem(problems,
                    "%s lost at the %s (when txqueuelen was put back)",
                    cost_words, member_string(side, "side"));
    }
    add_losses(problems, side);
    add_left_over(problems, side);
    if (side_ended(side, OUTCOME_VM_ENDED)) {
        add_problem(problems, "the VM ended and did not move");
    }
    if (side_ended(side, OUTCOME_COMPLETED) && !side_is_source(side) &&
        !json_is_true(json_object_get(side, "was-connected"))) {
        add_problem(problems, "the source never connected: what the VM "
                              "missed is not here");
    }
}

static json_t *find_problems(json_t *report)
{
    json_t *problems = json_array();
    json_t *source = report_side(report, "source");
    json_t *destination = report_side(report, "destination");
    json_t *side;
    size_t i;

    json_array_foreach (json_object_get(report, "sides"), i, side) {
        add_side_problems(problems, side);
    }
    add_link_problems(problems, report);
    if (side_ended(source, OUTCOME_COMPLETED) && destination &&
        report_packets(source, "outdev") !=
            report_packets(destination, "indev")) {
        add_problem(problems,
                    "%" JSON_INTEGER_FORMAT " frames were shipped, "
                    "%" JSON_INTEGER_FORMAT " arrived",
                    report_packets(source, "outdev"),
                    report_packets(destination, "indev"));
    }
    return problems;
}

static bool link_confirms(json_t *source)
{
    json_t *switchover = json_object_get(source, "switchover");

    return json_is_true(
        json_object_get(json_object_get(switchover, "link"), "acknowledged"));
}

/* Why all is well, in one sentence. */
static char *praise(json_t *report)
{
    json_t *source = report_side(report, "source");
    json_t *destination = report_side(report, "destination");
    json_t *side = destination ? destination : source;
    json_int_t moved =
        report_packets(side, destination ? "out_netdev" : "outdev");
    json_int_t back = report_packets(source, "reinjected");
    json_int_t downtime = report_integer(report, "downtime-us");
    g_autofree char *moved_words = frames_were(moved);
    g_autofree char *length = words_duration(downtime);
    g_autofree char *back_words = frames_were(back);

    if (side_ended(source, OUTCOME_CANCELLED) ||
        (!source && side_ended(destination, OUTCOME_CANCELLED))) {
        return source ? g_strdup_printf(
                            "The migration was cancelled. Nothing was lost: "
                            "%s given back to the VM",
                            back_words)
                      : g_strdup("The migration was cancelled: the VM never "
                                 "ran here. What was held for it was thrown "
                                 "away; the source gives it back");
    }
    if (side_ended(side, OUTCOME_UNDER_WAY)) {
        return g_strdup("Not over yet; nothing was lost so far");
    }
    return g_strdup_printf("Nothing was lost: %s %s%s%s%s", moved_words,
                           destination ? "carried across"
                                       : "shipped that the VM would not have "
                                         "got",
                           downtime ? ", and the VM stood still for " : "",
                           downtime ? length : "",
                           destination || link_confirms(source)
                               ? ""
                               : "; the other host does not confirm what it "
                                 "got");
}

static json_t *make_verdict(json_t *report)
{
    json_t *problems = find_problems(report);
    g_autofree char *text = NULL;
    GString *all = g_string_new(NULL);
    json_t *problem;
    size_t i;

    json_array_foreach (problems, i, problem) {
        g_string_append_printf(all, "%s%s", i ? "; " : "",
                               json_string_value(problem));
    }
    text = g_string_free(all, FALSE);
    if (!*text) {
        g_free(text);
        text = praise(report);
    }
    return json_pack("{s:b, s:s, s:o}", "ok", json_array_size(problems) == 0,
                     "text", text, "problems", problems);
}

/* Times that both sides tell together */

static json_int_t find_downtime(json_t *report)
{
    json_t *source = report_side(report, "source");
    json_t *destination = report_side(report, "destination");
    json_int_t stop = report_time(source, "stop-us");
    json_int_t resume = report_time(source, "resume-us");

    if (resume == 0) {
        resume = report_time(destination, "resume-us");
    }
    return stop > 0 && resume > stop ? resume - stop : 0;
}

static json_t *find_flow(json_t *side, const char *kind)
{
    json_t *flows =
        json_object_get(json_object_get(side, "switchover"), "flows");
    json_t *flow;
    size_t i;

    json_array_foreach (flows, i, flow) {
        if (!strcmp(member_string(flow, "kind"), kind)) {
            return flow;
        }
    }
    return NULL;
}

/* The longest time that the guest saw no frame of this kind: within what one
 * host saw, or from the last at the old one to the first at the new one. */
static json_t *find_gap(json_t *report, const char *kind)
{
    json_t *source = find_flow(report_side(report, "source"), kind);
    json_t *there = find_flow(report_side(report, "destination"), kind);
    json_t *best = there && json_object_get(there, "gap-us") ? there : source;
    json_int_t gap = report_integer(best, "gap-us");
    json_int_t end = report_integer(best, "gap-end-us");
    json_int_t before = report_integer(source, "last-before-us");
    json_int_t first = report_integer(there, "first-us");

    if (before > 0 && first - before > gap) {
        gap = first - before;
        end = first;
    }
    return gap > 0 ? json_pack("{s:s, s:I, s:I}", "kind", kind, "gap-us", gap,
                               "end-us", end)
                   : NULL;
}

static json_t *find_gaps(json_t *report)
{
    static const char *const kinds[] = {"tcp", "udp", "icmp", "other"};
    json_t *list = json_array();

    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
        json_t *gap = find_gap(report, kinds[i]);

        if (gap) {
            json_array_append_new(list, gap);
        }
    }
    return list;
}

json_t *report_new(json_t *sides)
{
    json_t *report =
        json_pack("{s:s, s:I, s:O}", "version", TAPFERRY_VERSION, "made-us",
                  (json_int_t)g_get_real_time(), "sides", sides);
    json_int_t downtime = find_downtime(report);

    if (downtime > 0) {
        json_object_set_new(report, "downtime-us", json_integer(downtime));
    }
    json_object_set_new(report, "gaps", find_gaps(report));
    json_object_set_new(report, "verdict", make_verdict(report));
    return report;
}

bool report_verdict(json_t *report, GError **errp)
{
    json_t *verdict = json_object_get(report, "verdict");

    if (!json_is_true(json_object_get(verdict, "ok"))) {
        g_set_error(errp, CLIENT_ERROR, CLIENT_FAILED, "%s",
                    member_string(verdict, "text"));
        return false;
    }
    return true;
}

/* Files */

char *report_to_json_text(json_t *report)
{
    char *dump = json_dumps(report, JSON_INDENT(1));
    char *text = g_strconcat(dump ? dump : "null", "\n", NULL);

    free(dump);
    return text;
}

bool report_check_writable(const char *path, GError **errp)
{
    g_autofree char *dir = g_path_get_dirname(path);
    const char *what = access(path, F_OK) == 0 ? path : dir;

    if (access(what, W_OK) < 0 || g_file_test(path, G_FILE_TEST_IS_DIR)) {
        g_set_error(errp, CLIENT_ERROR, CLIENT_FAILED,
                    "the report can not be written to %s: name a file in a "
                    "directory that exists and that you may write to",
                    path);
        return false;
    }
    return true;
}

bool report_write(json_t *report, const char *path, GError **errp)
{
    g_autofree char *text =
        g_str_has_suffix(path, ".html")   ? report_to_html(report)
        : g_str_has_suffix(path, ".json") ? report_to_json_text(report)
                                          : report_to_text(report);

    return g_file_set_contents(path, text, -1, errp);
}
