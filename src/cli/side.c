/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/side.h"

#include "cli/progress.h"
#include "cli/signals.h"
#include "cli/vm-check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How often the daemon is asked how far it is. */
#define SIDE_POLL_MS 200

struct Side {
    const SideClass *class;
    SideOptions options;
    SideState state;
    Child child;
    Progress progress;
};

static bool side_fail(GError **errp, const char *text)
{
    g_set_error_literal(errp, CLIENT_ERROR, CLIENT_FAILED, text);
    return false;
}

/* What the daemon says */

/* The daemon's last words say more than a closed connection. */
static bool side_explain(Side *self, GError **errp)
{
    g_autofree char *words = child_last_words(&self->child);

    if (!g_error_matches(*errp, CLIENT_ERROR, CLIENT_FAILED)) {
        return false;
    }
    g_clear_error(errp);
    g_set_error(errp, CLIENT_ERROR, CLIENT_FAILED, "tapferryd ended: %s",
                words);
    return false;
}

static json_t *side_ask(Side *self, const char *command, json_t *args,
                        GError **errp)
{
    json_t *result = client_execute(self->child.client, command, args, errp);

    json_decref(args);
    return result;
}

/* One of a few words; anything else is unknown. */
static const char *side_word(json_t *value)
{
    static const char *const words[] = {"running", "stopped", "gone",
                                        "none",    "active",  "completed"};

    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        if (g_strcmp0(json_string_value(value), words[i]) == 0) {
            return words[i];
        }
    }
    return "unknown";
}

static bool side_ask_vm(Side *self, const char *property, const char **word,
                        GError **errp)
{
    json_auto_t *value = side_ask(
        self, "qom-get",
        json_pack("{s:s, s:s}", "path", "/objects/vm0", "property", property),
        errp);

    *word = side_word(value);
    return value != NULL;
}

static json_t *side_ask_stats(Side *self, GError **errp)
{
    return side_ask(self, "query-netfilter-stats",
                    json_pack("{s:s}", "name", "rd0"), errp);
}

static int64_t side_counter(json_t *stats, const char *name)
{
    return report_integer(report_find_counter(json_array_get(stats, 0), name),
                          "packets");
}

static bool side_ask_connected(Side *self, bool *connected, GError **errp)
{
    json_auto_t *list = side_ask(self, "query-chardev", NULL, errp);
    json_t *entry;
    size_t i;

    *connected = false;
    json_array_foreach (list, i, entry) {
        const char *label = json_string_value(json_object_get(entry, "label"));
        const char *file =
            json_string_value(json_object_get(entry, "filename"));

        if (!g_strcmp0(label, "out0") || !g_strcmp0(label, "in0")) {
            *connected = file && !g_str_has_prefix(file, "disconnected:");
        }
    }
    return list != NULL;
}

/* The phase, for the events that came before we listened. */
static bool side_ask_phase(Side *self, GError **errp)
{
    json_auto_t *list = side_ask(self, "query-switchover", NULL, errp);
    const char *phase =
        json_string_value(json_object_get(json_array_get(list, 0), "phase"));

    g_strlcpy(self->state.phase, phase ? phase : "", sizeof(self->state.phase));
    return list != NULL;
}

/* The state of the link, once that can matter. */
static bool side_ask_link(Side *self, GError **errp)
{
    SideState *state = &self->state;
    json_auto_t *list = NULL;
    json_t *link;

    if (state->settled == 0) {
        return true;
    }
    list = side_ask(self, "query-switchover", NULL, errp);
    link = json_object_get(json_array_get(list, 0), "link");
    state->acknowledged = json_is_true(json_object_get(link, "acknowledged"));
    state->ended = json_is_true(json_object_get(link, "ended"));
    state->unconfirmed =
        json_integer_value(json_object_get(link, "unconfirmed"));
    return list != NULL;
}

static void side_set_connected(SideState *state, bool connected)
{
    if (state->connected && !connected) {
        state->parted = state->now;
    }
    state->connected = connected;
    state->was_connected |= connected;
}

static void side_set_counters(const SideClass *class, SideState *state,
                              json_t *stats)
{
    int64_t came = side_counter(stats, class->came);

    if (came != state->came || state->changed == 0) {
        state->changed = state->now;
    }
    state->came = came;
    state->gone = side_counter(stats, class->gone);
    state->waiting = side_counter(stats, class->waiting);
}

/* What follows from what the VM does. */
static void side_conclude(SideState *state, bool source)
{
    bool gone = !strcmp(state->vm, "gone");

    state->moving |= !strcmp(state->migration, "active");
    state->stopped |= source && !strcmp(state->phase, "shipping");
    if (!state->moving && !strcmp(state->migration, "none") &&
        !strcmp(state->phase, "armed")) {
        state->stopped = false; /* somebody stopped it, and let it go on */
    }
    state->ran |= !source && (!strcmp(state->vm, "running") ||
                              !strcmp(state->phase, "releasing") ||
                              !strcmp(state->phase, "passing"));
    if (state->settled == 0 &&
        (source ? gone || !strcmp(state->migration, "completed")
                : state->ran)) {
        state->settled = state->now;
    }
}

static bool side_poll(Side *self, GError **errp)
{
    SideState *state = &self->state;
    json_auto_t *stats = NULL;
    bool connected;

    state->now = (double)g_get_monotonic_time() / G_USEC_PER_SEC;
    if (!side_ask_vm(self, "state", &state->vm, errp) ||
        !side_ask_vm(self, "migration", &state->migration, errp) ||
        !side_ask_connected(self, &connected, errp)) {
        return false;
    }
    stats = side_ask_stats(self, errp);
    if (!stats) {
        return false;
    }
    side_set_connected(state, connected);
    side_set_counters(self->class, state, stats);
    side_conclude(state, self->class->is_source);
    return side_ask_link(self, errp);
}

static void side_take_event(Side *self, json_t *event)
{
    json_t *data = json_object_get(event, "data");
    const char *name = json_string_value(json_object_get(event, "event"));
    const char *phase = json_string_value(json_object_get(data, "phase"));

    if (!g_strcmp0(name, "SWITCHOVER") && phase) {
        g_strlcpy(self->state.phase, phase, sizeof(self->state.phase));
        side_conclude(&self->state, self->class->is_source);
    }
}

/* Running */

static void side_show(Side *self)
{
    const SideState *state = &self->state;
    bool source = self->class->is_source;
    g_autofree char *figures =
        g_strdup_printf("%" G_GINT64_FORMAT " %s, %" G_GINT64_FORMAT
                        " %s, %" G_GINT64_FORMAT " %s",
                        state->came, source ? "captured" : "received",
                        state->gone, source ? "shipped" : "injected",
                        state->waiting, source ? "queued" : "held");

    progress_show(&self->progress, self->class->doing(state), figures);
}

/* Takes the events that have come; waits @timeout_ms for the first. */
static bool side_take_events(Side *self, int timeout_ms, GError **errp)
{
    json_t *event;

    do {
        if (!client_next_event(self->child.client, timeout_ms, &event, errp)) {
            return false;
        }
        if (event) {
            side_take_event(self, event);
            json_decref(event);
        }
        timeout_ms = 0;
    } while (event);
    return true;
}

static bool side_follow(Side *self, Outcome *outcome, GError **errp)
{
    if (!side_ask_phase(self, errp)) {
        return false;
    }
    while (*outcome == OUTCOME_UNDER_WAY) {
        if (signals_caught()) {
            *outcome = OUTCOME_INTERRUPTED;
            return true;
        }
        /* The events before an answer are older than it: without them the
         * phase would be. */
        if (!side_take_events(self, SIDE_POLL_MS, errp) ||
            !side_poll(self, errp) || !side_take_events(self, 0, errp)) {
            return false;
        }
        *outcome = self->class->outcome(&self->state, &self->options);
        side_show(self);
    }
    return true;
}

/* Everything that the daemon knows, as a report of one side; owned. */
static json_t *side_collect(Side *self, Outcome outcome, GError **errp)
{
    json_auto_t *stats = side_ask_stats(self, errp);
    json_auto_t *switchovers = NULL;

    if (!stats) {
        return NULL;
    }
    switchovers = side_ask(self, "query-switchover", NULL, errp);
    if (!switchovers) {
        return NULL;
    }
    return report_new_side(self->class->name, report_outcome_name(outcome),
                           json_array_get(switchovers, 0),
                           json_array_get(stats, 0), self->state.was_connected);
}

static bool side_print(Side *self, json_t *report, GError **errp)
{
    g_autofree char *text = NULL;

    if (self->options.report &&
        !report_write(report, self->options.report, errp)) {
        return false;
    }
    text = self->options.json ? report_to_json_text(report)
                              : report_to_text(report);
    fputs(text, stdout);
    return fflush(stdout) == 0 || side_fail(errp, "can not write the report");
}

static bool side_work(Side *self, GError **errp)
{
    Outcome outcome = OUTCOME_UNDER_WAY;
    json_auto_t *sides = json_array();
    json_auto_t *report = NULL;
    json_t *side = NULL;

    if (!side_follow(self, &outcome, errp) ||
        !(side = side_collect(self, outcome, errp))) {
        return side_explain(self, errp);
    }
    progress_end(&self->progress);
    json_array_append_new(sides, side);
    report = report_new(sides);
    return side_print(self, report, errp) && report_verdict(report, errp);
}

static bool side_run_child(Side *self, Cli *cli, const char *vm, GError **errp)
{
    g_autoptr(GPtrArray) args = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *quoted = side_quote(vm);
    g_autofree char *tap = side_quote(self->options.tap);
    g_autofree char *where = NULL;
    bool ok;

    side_add(args, "-object", "vm-qmp,id=vm0,addr=%s", quoted);
    side_add(args, "-netdev", "tap,id=n0,ifname=%s,vm=vm0", tap);
    if (!self->class->add_args(args, &self->options, errp)) {
        return false;
    }
    ok = child_start(&self->child, cli->socket_given ? cli->socket : NULL,
                     self->options.log, args, errp);
    if (ok) {
        where = g_strdup_printf("tapferry --socket %s top shows it live",
                                self->child.socket);
        progress_say(&self->progress, where);
        ok = side_work(self, errp);
    }
    progress_end(&self->progress);
    child_stop(&self->child);
    if (!ok && errp && strstr((*errp)->message, "Address already in use")) {
        g_clear_error(errp);
        g_set_error(errp, CLIENT_ERROR, CLIENT_FAILED,
                    "%s is in use already: give --%s another port, or end "
                    "what listens there",
                    self->options.address, self->class->address_option);
    }
    return ok;
}

/* Options */

static bool side_check_options(const Side *self, char **words, GError **errp)
{
    const SideOptions *options = &self->options;
    g_autofree char *missing = NULL;
    g_autofree char *address = NULL;

    if (words[0]) {
        g_set_error(errp, CLIENT_ERROR, CLIENT_FAILED,
                    "%s: '%s' is one word too many (tapferry help %s)",
                    self->class->name, words[0], self->class->name);
        return false;
    }
    if (!options->tap || !options->vm || !options->address) {
        missing = g_strdup_printf(
            "%s: give --tap IF --vm ADDR --%s %s", self->class->name,
            self->class->address_option, self->class->address_form);
        return side_fail(errp, missing);
    }
    if (options->quiet_time < 0 || options->max_wait < 0) {
        return side_fail(errp, "--quiet-time and --max-wait: give seconds, "
                               "0 or more");
    }
    address = side_parse_address(options->address, self->class->any_host, errp);
    return address &&
           (!options->report || report_check_writable(options->report, errp));
}

static void side_options_clear(SideOptions *options)
{
    g_free(options->tap);
    g_free(options->vm);
    g_free(options->address);
    g_free(options->tls_dir);
    g_free(options->report);
    g_free(options->log);
    g_strfreev(options->properties);
}

static char **side_parse(Side *self, Cli *cli, int argc, char **argv,
                         GError **errp)
{
    const SideClass *class = self->class;
    SideOptions *options = &self->options;
    const GOptionEntry entries[] = {
        {"tap", 't', 0, G_OPTION_ARG_STRING, &options->tap, "The VM's TAP",
         "IF"},
        {"vm", 'v', 0, G_OPTION_ARG_STRING, &options->vm,
         "The VM's QMP monitor: unix:PATH or tcp:HOST:PORT", "ADDR"},
        {class->address_option, 0, 0, G_OPTION_ARG_STRING, &options->address,
         class->address_help, class->address_form},
        {"tls-creds-dir", 0, 0, G_OPTION_ARG_FILENAME, &options->tls_dir,
         "Certificates for TLS, laid out as QEMU has them", "DIR"},
        {"report", 'r', 0, G_OPTION_ARG_FILENAME, &options->report,
         "Write the report there: FILE.html, FILE.json or text", "FILE"},
        {"json", 'j', 0, G_OPTION_ARG_NONE, &options->json,
         "Print the report as JSON", NULL},
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &options->quiet,
         "Do not say how far it is", NULL},
        {"quiet-time", 0, 0, G_OPTION_ARG_DOUBLE, &options->quiet_time,
         "It is over when no frame came for so long", "SECONDS"},
        {"max-wait", 0, 0, G_OPTION_ARG_DOUBLE, &options->max_wait,
         "Wait for the rest no longer than that (30)", "SECONDS"},
        {"property", 'p', 0, G_OPTION_ARG_STRING_ARRAY, &options->properties,
         "One more property of the redirector", "KEY=VALUE"},
        {"log", 0, 0, G_OPTION_ARG_FILENAME, &options->log,
         "Keep the daemon's log there", "FILE"},
        {NULL}};

    options->quiet_time = class->quiet_time;
    options->max_wait = 30;
    return cli_parse(cli, argc, argv, NULL, class->summary, entries, errp);
}

bool side_run(const SideClass *class, Cli *cli, int argc, char **argv,
              GError **errp)
{
    Side self = {.class = class,
                 .state = {.vm = "unknown", .migration = "unknown"}};
    g_auto(GStrv) words = side_parse(&self, cli, argc, argv, errp);
    g_autofree char *vm = NULL;
    g_autofree char *status = NULL;
    bool running;
    bool ok = words && side_check_options(&self, words, errp);

    self.progress =
        (Progress){.name = class->name, .quiet = self.options.quiet};
    signals_catch();
    ok = ok && vm_check(self.options.vm, &vm, &running, &status, errp) &&
         class->check_vm(vm, running, status, errp) &&
         side_run_child(&self, cli, vm, errp);
    side_options_clear(&self.options);
    return ok;
}
