/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/report.h"

#include "cli/member.h"

#include <string.h>

/* Two columns, of which the second is as wide as it likes. */
static void text_rows(GString *out, json_t *rows, const char *name,
                      const char *value)
{
    json_t *row;
    size_t i;

    json_array_foreach (rows, i, row) {
        g_string_append_printf(out, "  %-38s %s\n", member_string(row, name),
                               member_string(row, value));
    }
}

static void text_heading(GString *out, const char *text)
{
    g_string_append_printf(out, "\n%s\n", text);
}

static void text_ledger(GString *out, json_t *rows)
{
    json_t *row;
    size_t i;

    json_array_foreach (rows, i, row) {
        g_string_append_printf(
            out, "  %-12s %12s  %12s  %s\n", member_string(row, "name"),
            member_string(row, "packets"), member_string(row, "bytes"),
            member_string(row, "meaning"));
    }
}

/* The causes of which there were any. */
static void text_drops(GString *out, json_t *rows)
{
    json_t *row;
    size_t i;

    json_array_foreach (rows, i, row) {
        if (strcmp(member_string(row, "class"), "bad") == 0) {
            g_string_append_printf(out, "  %-12s %12s  %12s  lost: %s\n",
                                   "dropped", member_string(row, "packets"), "",
                                   member_string(row, "cause"));
        }
    }
}

static void text_side(GString *out, json_t *side)
{
    text_heading(out, member_string(side, "title"));
    text_ledger(out, json_object_get(side, "ledger"));
    text_drops(out, json_object_get(side, "drops"));
    g_string_append_printf(out, "  %s.\n", member_string(side, "sum"));
    text_rows(out, json_object_get(side, "times"), "name", "value");
}

char *report_to_text(json_t *report)
{
    json_auto_t *view = report_view(report);
    json_t *gaps = json_object_get(view, "gaps");
    GString *out = g_string_new(NULL);
    json_t *side;
    size_t i;

    g_string_append_printf(out, "%s.\n", member_string(view, "verdict"));
    if (json_array_size(json_object_get(view, "facts")) > 0) {
        g_string_append_c(out, '\n');
    }
    text_rows(out, json_object_get(view, "facts"), "name", "value");
    if (json_array_size(gaps) > 0) {
        text_heading(out, "The longest time without a frame for the VM");
        text_rows(out, gaps, "kind", "gap");
    }
    json_array_foreach (json_object_get(view, "sides"), i, side) {
        text_side(out, side);
    }
    return g_string_free(out, FALSE);
}
