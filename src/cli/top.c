/* SPDX-License-Identifier: BSD-2-Clause */
/* tapferry top: what every filter counts, live. */
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/member.h"
#include "cli/signals.h"
#include "cli/words.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* The alternate screen, and back. */
#define SCREEN_OPEN "\033[?1049h\033[?25l"
#define SCREEN_CLOSE "\033[?25h\033[?1049l"
#define SCREEN_HOME "\033[H"
#define LINE_END "\033[K\n"
#define SCREEN_REST "\033[J"

typedef struct Top {
    Client *client;
    double delay;
    GHashTable *before; /* counter -> its packets and bytes last time */
    int64_t before_us;
    double elapsed; /* seconds since, 0: the first time */
    int lines;      /* left on the screen */
    int columns;
} Top;

typedef struct TopCount {
    json_int_t packets, bytes;
} TopCount;

/* A line, if there is room; @attribute: an ANSI one, or "". */
static void top_line(Top *self, const char *attribute, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

static void top_line(Top *self, const char *attribute, const char *format, ...)
{
    g_autofree char *text = NULL;
    g_autofree char *cut = NULL;
    va_list ap;

    va_start(ap, format);
    text = g_strdup_vprintf(format, ap);
    va_end(ap);
    if (self->lines-- > 0) {
        cut = g_utf8_validate(text, -1, NULL)
                  ? g_utf8_substring(
                        text, 0, MIN(g_utf8_strlen(text, -1), self->columns))
                  : g_strdup("?");
        printf("%s%s\033[0m" LINE_END, attribute, cut);
    }
}

static void top_counter(Top *self, const char *filter, const char *name,
                        json_int_t packets, json_int_t bytes)
{
    g_autofree char *key = g_strdup_printf("%s/%s", filter, name);
    TopCount *last = g_hash_table_lookup(self->before, key);
    TopCount *now = g_new(TopCount, 1);
    g_autofree char *count = words_count(packets);
    g_autofree char *rate = NULL;
    g_autofree char *bits = NULL;
    bool drop = g_str_has_prefix(name, "dropped-");

    *now = (TopCount){packets, bytes};
    if (last && self->elapsed > 0) {
        double p = (double)(packets - last->packets) / self->elapsed;
        double b = 8 * (double)(bytes - last->bytes) / self->elapsed;

        rate = words_count((int64_t)p);
        bits = g_strdup_printf("%.3f", b / 1e6);
    }
    g_hash_table_insert(self->before, g_steal_pointer(&key), now);
    if (packets > 0 || !drop) {
        top_line(self,
                 drop      ? "\033[31m"
                 : packets ? ""
                           : "\033[2m",
                 "  %-22s %16s %14s %14s", name, count, rate ? rate : "",
                 bits ? bits : "");
    }
}

static void top_filter(Top *self, json_t *entry)
{
    const char *name = member_string(entry, "name");
    json_t *counter;
    size_t i;

    top_line(self, "\033[1m", "%s: %s on %s", name,
             member_string(entry, "type"), member_string(entry, "netdev"));
    top_counter(self, name, "tx", member_integer(entry, "packets-tx"),
                member_integer(entry, "bytes-tx"));
    top_counter(self, name, "rx", member_integer(entry, "packets-rx"),
                member_integer(entry, "bytes-rx"));
    json_array_foreach (json_object_get(entry, "counters"), i, counter) {
        top_counter(self, name, member_string(counter, "name"),
                    member_integer(counter, "packets"),
                    member_integer(counter, "bytes"));
    }
    top_line(self, "", "%s", "");
}

static void top_switchovers(Top *self, json_t *switchovers)
{
    json_t *entry;
    size_t i;

    json_array_foreach (switchovers, i, entry) {
        g_autofree char *stop = words_clock(member_integer(entry, "stop-us"));
        g_autofree char *resume =
            words_clock(member_integer(entry, "resume-us"));
        g_autofree char *hold =
            words_duration(member_integer(entry, "longest-hold-us"));

        top_line(self, "\033[36m",
                 "%s: %s, %s; stop %s, resume %s; longest hold %s",
                 member_string(entry, "name"), member_string(entry, "side"),
                 member_string(entry, "phase"), stop, resume, hold);
    }
    if (json_array_size(switchovers) > 0) {
        top_line(self, "", "%s", "");
    }
}

static void top_measure(Top *self)
{
    struct winsize size = {0};
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row;
    int64_t now = g_get_monotonic_time();

    /* The last line would scroll. */
    self->lines = known ? size.ws_row - 1 : 200;
    self->columns = known && size.ws_col ? size.ws_col : 100;
    self->elapsed = self->before_us ? (double)(now - self->before_us) / 1e6 : 0;
    self->before_us = now;
}

static bool top_draw(Top *self, GError **errp)
{
    g_autofree char *now = words_date(g_get_real_time());
    json_auto_t *stats =
        client_execute(self->client, "query-netfilter-stats", NULL, errp);
    json_auto_t *switchovers =
        stats ? client_execute(self->client, "query-switchover", NULL, errp)
              : NULL;
    json_t *entry;
    size_t i;

    if (!switchovers) {
        return false;
    }
    top_measure(self);
    fputs(SCREEN_HOME, stdout);
    top_line(self, "\033[7m", " tapferry  %s  every %g s, q ends it ", now,
             self->delay);
    top_line(self, "", "%s", "");
    top_switchovers(self, switchovers);
    top_line(self, "\033[2m", "  %-22s %16s %14s %14s", "", "frames",
             "frames/s", "Mbit/s");
    json_array_foreach (stats, i, entry) {
        top_filter(self, entry);
    }
    fputs(SCREEN_REST, stdout);
    fflush(stdout);
    return true;
}

/* Waits for the next picture; true to end: a q, or a signal. */
static bool top_wait(const Top *self)
{
    struct pollfd pfd = {.fd = STDIN_FILENO, .events = POLLIN};
    char key = 0;
    int n = poll(&pfd, 1, (int)(self->delay * 1000));

    if (n > 0 && read(STDIN_FILENO, &key, 1) == 0) {
        g_usleep((gulong)(self->delay * G_USEC_PER_SEC)); /* no keyboard */
    }
    return signals_caught() || key == 'q' || key == 'Q';
}

static bool top_run(Top *self, GError **errp)
{
    struct termios before, raw;
    bool keys = tcgetattr(STDIN_FILENO, &before) == 0;
    bool ok;

    signals_catch();
    if (keys) {
        raw = before;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
    fputs(SCREEN_OPEN, stdout);
    do {
        ok = top_draw(self, errp);
    } while (ok && !top_wait(self));
    fputs(SCREEN_CLOSE, stdout);
    fflush(stdout);
    if (keys) {
        tcsetattr(STDIN_FILENO, TCSANOW, &before);
    }
    return ok;
}

bool cli_top(Cli *cli, int argc, char **argv, GError **errp)
{
    Top self = {.delay = 1};
    const GOptionEntry entries[] = {{"delay", 'd', 0, G_OPTION_ARG_DOUBLE,
                                     &self.delay,
                                     "Seconds between two pictures (1)", "N"},
                                    {NULL}};
    g_auto(GStrv) words =
        cli_parse(cli, argc, argv, NULL, "Shows live what every filter counts.",
                  entries, errp);
    bool ok;

    if (!words) {
        return false;
    }
    if (self.delay < 0.1 || self.delay > 3600) {
        g_set_error(errp, CLIENT_ERROR, CLIENT_FAILED,
                    "--delay: give seconds, 0.1 to 3600");
        return false;
    }
    if (!isatty(STDOUT_FILENO)) {
        g_set_error(errp, CLIENT_ERROR, CLIENT_FAILED,
                    "top needs a terminal; elsewhere use 'tapferry stats "
                    "--watch N'");
        return false;
    }
    self.client = client_open(cli->socket, errp);
    if (!self.client) {
        return false;
    }
    self.before =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    ok = top_run(&self, errp);
    g_hash_table_unref(self.before);
    client_close(self.client);
    return ok;
}
