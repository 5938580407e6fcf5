/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The report of a switchover, seen from one host or from both: a JSON
 * document, and from it text and a page.
 *
 *   report.c          the document: what both sides say, and the verdict
 *   report-view.c     the same in words and figures for a reader
 *   report-picture.c  the timeline as the coordinates of a drawing
 *   report-text.c, report-html.c   the view as text, and as a page
 *
 * The document:
 *   {"version", "made-us", "verdict": {"ok", "text", "problems": [text…]},
 *    "downtime-us", "gaps": [{"kind", "gap-us", "end-us"}…],
 *    "sides": [{"side", "host", "outcome", "was-connected",
 *               "switchover": query-switchover's entry or null,
 *               "stats": query-netfilter-stats's}…]}
 */
#ifndef TF_CLI_REPORT_H
#define TF_CLI_REPORT_H

#include <stdbool.h>

#include <glib.h>
#include <jansson.h>

/* How it ended; the order of outcome_names in report.c. */
typedef enum Outcome {
    OUTCOME_UNDER_WAY,   /* it has not */
    OUTCOME_COMPLETED,   /* the VM moved */
    OUTCOME_CANCELLED,   /* it stayed where it was */
    OUTCOME_INTERRUPTED, /* by a signal */
    OUTCOME_UNFINISHED,  /* frames are left, and waiting was in vain */
    OUTCOME_VM_ENDED,    /* and never moved */
} Outcome;

const char *report_outcome_name(Outcome outcome);

/* What one side says; @switchover (may be NULL) and @stats are borrowed. */
json_t *report_new_side(const char *side, const char *outcome,
                        json_t *switchover, json_t *stats, bool was_connected);

/* The document of one side or two, borrowed. */
json_t *report_new(json_t *sides);

/* Is all well? Else an error that says what is not. */
bool report_verdict(json_t *report, GError **errp);

/* Numbers of a document that may come from elsewhere: from 0 to 2^52, so that
 * sums do not overflow. */
json_int_t report_number(json_t *value);
json_int_t report_integer(json_t *object, const char *key);

/* The counter called @name in an entry of query-netfilter-stats, or NULL;
 * borrowed. */
json_t *report_find_counter(json_t *stats, const char *name);
/* The counters of a side, a list, and the one called @name, or NULL; borrowed.
 */
json_t *report_counters(json_t *side);
json_t *report_counter(json_t *side, const char *name);
/* Its packets; 0 if there is none. */
json_int_t report_packets(json_t *side, const char *counter);

/* The side of that name, or NULL; borrowed. */
json_t *report_side(json_t *report, const char *name);

/* A time of the side's switchover in microseconds; 0: none. */
json_int_t report_time(json_t *side, const char *key);
/* What it says of the link between the hosts. */
json_int_t report_link(json_t *side, const char *key);

/* What came in at a side, and what of it has its place. */
void report_balance(json_t *side, json_int_t *came, json_int_t *accounted);

/* Words, figures and coordinates (report-view.c); owned. */
json_t *report_view(json_t *report);
/* Likewise the drawing (report-picture.c); NULL: there is nothing to draw. */
json_t *report_picture(json_t *report);

/* All of these return text, owned. */
char *report_to_json_text(json_t *report);
char *report_to_text(json_t *report);
char *report_to_html(json_t *report);

/* By the name's ending: .html, .json, else text. */
bool report_write(json_t *report, const char *path, GError **errp);
bool report_check_writable(const char *path, GError **errp);

#endif
