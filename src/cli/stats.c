/* SPDX-License-Identifier: BSD-2-Clause */
/* tapferry stats [NAME] [--watch N] [--format table|json|kv|prometheus] */
#include "cli/cli.h"

#include "cli/client.h"
#include "cli/member.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef void StatsPrint(json_t *stats);

/* One counter of one filter. */
typedef void StatsCounter(json_t *entry, const char *name, json_int_t packets,
                          json_int_t bytes, void *opaque);

/* Calls @func for tx, rx and then the filter's own counters. */
static void stats_foreach(json_t *stats, StatsCounter *func, void *opaque)
{
    json_t *entry, *counter;
    size_t i, j;

    json_array_foreach (stats, i, entry) {
        func(entry, "tx", member_integer(entry, "packets-tx"),
             member_integer(entry, "bytes-tx"), opaque);
        func(entry, "rx", member_integer(entry, "packets-rx"),
             member_integer(entry, "bytes-rx"), opaque);
        json_array_foreach (json_object_get(entry, "counters"), j, counter) {
            func(entry, member_string(counter, "name"),
                 member_integer(counter, "packets"),
                 member_integer(counter, "bytes"), opaque);
        }
    }
}

static void stats_table_row(json_t *entry, const char *name, json_int_t packets,
                            json_int_t bytes, void *opaque)
{
    json_t **last = opaque;
    bool first = *last != entry;

    *last = entry;
    printf("%-12s %-10s %-18s %-22s %14" JSON_INTEGER_FORMAT
           " %18" JSON_INTEGER_FORMAT "\n",
           first ? member_string(entry, "name") : "",
           first ? member_string(entry, "netdev") : "",
           first ? member_string(entry, "type") : "", name, packets, bytes);
}

static void stats_print_table(json_t *stats)
{
    json_t *last = NULL;

    printf("%-12s %-10s %-18s %-22s %14s %18s\n", "FILTER", "NETDEV", "TYPE",
           "COUNTER", "PACKETS", "BYTES");
    stats_foreach(stats, stats_table_row, &last);
}

static void stats_print_json(json_t *stats)
{
    char *text = json_dumps(stats, JSON_INDENT(2));

    printf("%s\n", text);
    free(text);
}

static void stats_kv_row(json_t *entry, const char *name, json_int_t packets,
                         json_int_t bytes, void *opaque)
{
    const char *filter = member_string(entry, "name");

    printf("%s.%s.packets=%" JSON_INTEGER_FORMAT "\n", filter, name, packets);
    printf("%s.%s.bytes=%" JSON_INTEGER_FORMAT "\n", filter, name, bytes);
}

static void stats_print_kv(json_t *stats)
{
    json_t *entry;
    size_t i;

    json_array_foreach (stats, i, entry) {
        const char *name = member_string(entry, "name");

        printf("%s.netdev=%s\n", name, member_string(entry, "netdev"));
        printf("%s.type=%s\n", name, member_string(entry, "type"));
    }
    stats_foreach(stats, stats_kv_row, NULL);
}

/* Counters that tell what waits, and so go down again. */
static bool stats_is_gauge(const char *name)
{
    static const char *const gauges[] = {"pending", "queued", "held", NULL};

    return g_strv_contains(gauges, name);
}

/* One metric: packets or bytes, of the counters or of the gauges. */
typedef struct StatsMetric {
    const char *name, *type, *help;
    bool gauge, bytes;
} StatsMetric;

static void stats_prometheus_row(json_t *entry, const char *name,
                                 json_int_t packets, json_int_t bytes,
                                 void *opaque)
{
    const StatsMetric *metric = opaque;

    if (stats_is_gauge(name) == metric->gauge) {
        printf("%s{filter=\"%s\",netdev=\"%s\",type=\"%s\",counter=\"%s\"} "
               "%" JSON_INTEGER_FORMAT "\n",
               metric->name, member_string(entry, "name"),
               member_string(entry, "netdev"), member_string(entry, "type"),
               name, metric->bytes ? bytes : packets);
    }
}

static void stats_print_prometheus(json_t *stats)
{
    static StatsMetric metrics[] = {
        {"tapferry_filter_packets_total", "counter", "Frames counted", false,
         false},
        {"tapferry_filter_bytes_total", "counter", "Bytes counted", false,
         true},
        {"tapferry_filter_waiting_packets", "gauge", "Frames that wait", true,
         false},
        {"tapferry_filter_waiting_bytes", "gauge", "Bytes that wait", true,
         true},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(metrics); i++) {
        printf("# HELP %s %s, by filter and counter.\n# TYPE %s %s\n",
               metrics[i].name, metrics[i].help, metrics[i].name,
               metrics[i].type);
        stats_foreach(stats, stats_prometheus_row, &metrics[i]);
    }
}

static StatsPrint *stats_find_format(const char *name, GError **errp)
{
    static const struct {
        const char *name;
        StatsPrint *print;
    } rows[] = {
        {"table", stats_print_table},
        {"json", stats_print_json},
        {"kv", stats_print_kv},
        {"prometheus", stats_print_prometheus},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (strcmp(name, rows[i].name) == 0) {
            return rows[i].print;
        }
    }
    g_set_error(errp, CLIENT_ERROR, 0,
                "--format: '%s' is none of table, json, kv, prometheus", name);
    return NULL;
}

/* Asks and prints, once or for ever. */
static bool stats_run(Client *client, json_t *args, StatsPrint *print,
                      double interval, GError **errp)
{
    bool clear =
        interval > 0 && print == stats_print_table && isatty(STDOUT_FILENO);

    for (;;) {
        json_auto_t *stats =
            client_execute(client, "query-netfilter-stats", args, errp);

        if (!stats) {
            return false;
        }
        if (clear) {
            printf("\033[H\033[J");
        }
        print(stats);
        if (!cli_flush(errp)) {
            return false;
        }
        if (interval <= 0) {
            return true;
        }
        g_usleep((gulong)(interval * G_USEC_PER_SEC));
    }
}

bool cli_stats(Cli *cli, int argc, char **argv, GError **errp)
{
    g_autofree char *format = NULL;
    double interval = 0;
    const GOptionEntry entries[] = {
        {"format", 'f', 0, G_OPTION_ARG_STRING, &format,
         "table (default), json, kv or prometheus", "FORMAT"},
        {"watch", 'w', 0, G_OPTION_ARG_DOUBLE, &interval,
         "Again every N seconds", "N"},
        {NULL}};
    g_auto(GStrv) words = cli_parse(
        cli, argc, argv, "[NAME]",
        "Prints what the filters counted, of all or of one.", entries, errp);
    g_autoptr(Client) client = NULL;
    json_auto_t *args = json_object();
    StatsPrint *print;

    if (!words) {
        return false;
    }
    print = stats_find_format(format ? format : "table", errp);
    if (!print) {
        return false;
    }
    if (interval < 0 || interval > 86400 || (words[0] && words[1])) {
        g_set_error(errp, CLIENT_ERROR, 0,
                    words[0] && words[1]
                        ? "stats: name one filter, or none for all"
                        : "--watch: give seconds up to 86400");
        return false;
    }
    if (words[0]) {
        json_object_set_new(args, "name", json_string(words[0]));
    }
    client = client_open(cli->socket, errp);
    return client && stats_run(client, args, print, interval, errp);
}
