/* SPDX-License-Identifier: BSD-2-Clause */
/* tapferry report [REPORT.json...] [--peer-socket PATH] [--html FILE] */
#include "cli/report.h"

#include "cli/cli.h"
#include "cli/client.h"

#include <stdio.h>
#include <string.h>

/* How it stands, as far as a daemon can tell by itself. */
static Outcome report_guess_outcome(json_t *entry)
{
    const char *side = json_string_value(json_object_get(entry, "side"));
    const char *phase = json_string_value(json_object_get(entry, "phase"));
    bool resumed = json_object_get(entry, "resume-us");

    if (!g_strcmp0(phase, "discarded")) {
        return OUTCOME_CANCELLED;
    }
    if (!g_strcmp0(side, "source")) {
        bool here = !g_strcmp0(phase, "armed") || !g_strcmp0(phase, "idle");

        return resumed && here ? OUTCOME_CANCELLED : OUTCOME_UNDER_WAY;
    }
    return !g_strcmp0(phase, "passing") ? OUTCOME_COMPLETED : OUTCOME_UNDER_WAY;
}

/* Adds what one daemon tells of its switchovers. */
static bool report_add_daemon(json_t *sides, const char *socket, GError **errp)
{
    g_autoptr(Client) client = client_open(socket, errp);
    json_auto_t *entries = NULL;
    json_t *entry;
    size_t i;

    if (!client ||
        !(entries = client_execute(client, "query-switchover", NULL, errp))) {
        return false;
    }
    json_array_foreach (entries, i, entry) {
        json_auto_t *name =
            json_pack("{s:O}", "name", json_object_get(entry, "name"));
        json_auto_t *stats =
            client_execute(client, "query-netfilter-stats", name, errp);

        if (!stats) {
            return false;
        }
        json_array_append_new(
            sides,
            report_new_side(json_string_value(json_object_get(entry, "side")),
                            report_outcome_name(report_guess_outcome(entry)),
                            entry, json_array_get(stats, 0), true));
    }
    return true;
}

/* Adds the sides of a report that was written before. */
static bool report_add_file(json_t *sides, const char *path, GError **errp)
{
    json_error_t error;
    json_auto_t *report = json_load_file(path, 0, &error);
    json_t *more = json_object_get(report, "sides");
    json_t *side;
    size_t i;

    json_array_foreach (more, i, side) {
        if (!json_is_object(json_object_get(side, "stats")) ||
            !json_is_string(json_object_get(side, "side"))) {
            more = NULL;
            break;
        }
    }
    if (!json_is_array(more)) {
        g_set_error(errp, CLIENT_ERROR, CLIENT_FAILED,
                    "%s is no report (%s): name a file that --report FILE.json "
                    "wrote",
                    path, report ? "it has no sides" : error.text);
        return false;
    }
    json_array_extend(sides, more);
    return true;
}

static bool report_gather(json_t *sides, const Cli *cli, const char *peer,
                          char **files, GError **errp)
{
    for (char **file = files; *file; file++) {
        if (!report_add_file(sides, *file, errp)) {
            return false;
        }
    }
    if ((!files[0] || cli->socket_given) &&
        !report_add_daemon(sides, cli->socket, errp)) {
        return false;
    }
    if (peer && !report_add_daemon(sides, peer, errp)) {
        return false;
    }
    if (json_array_size(sides) == 0) {
        g_set_error(errp, CLIENT_ERROR, CLIENT_FAILED,
                    "there was no switchover yet: nothing to report");
        return false;
    }
    return true;
}

bool cli_report(Cli *cli, int argc, char **argv, GError **errp)
{
    g_autofree char *html = NULL;
    g_autofree char *peer = NULL;
    gboolean json = FALSE;
    const GOptionEntry entries[] = {
        {"html", 0, 0, G_OPTION_ARG_FILENAME, &html,
         "Write a page with the timeline there", "FILE"},
        {"json", 'j', 0, G_OPTION_ARG_NONE, &json, "Print JSON", NULL},
        {"peer-socket", 0, 0, G_OPTION_ARG_FILENAME, &peer,
         "The other side's daemon, too", "PATH"},
        {NULL}};
    g_auto(GStrv) files = cli_parse(
        cli, argc, argv, "[REPORT.json...]",
        "Tells how a switchover went: what the daemon says, or what 'source' "
        "and\n'destination' wrote with --report FILE.json. Both sides "
        "together tell more.",
        entries, errp);
    json_auto_t *sides = json_array();
    json_auto_t *report = NULL;
    g_autofree char *text = NULL;

    if (!files || !report_gather(sides, cli, peer, files, errp)) {
        return false;
    }
    report = report_new(sides);
    if (html) {
        g_autofree char *page = report_to_html(report);

        if (!report_check_writable(html, errp) ||
            !g_file_set_contents(html, page, -1, errp)) {
            return false;
        }
    }
    text = json ? report_to_json_text(report) : report_to_text(report);
    fputs(text, stdout);
    return true;
}
