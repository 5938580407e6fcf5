/* SPDX-License-Identifier: BSD-2-Clause */
/* tapferry source --tap IF --vm ADDR --to HOST:PORT */
#include "cli/side.h"

#include <string.h>

/* The daemon's limit, in seconds. */
#define KEEP_TAP_MAX 600

/* One that has stopped in a migration, too: this may be the second command
 * beside it, the first having been killed. */
static bool source_check_vm(const char *vm, bool running, const char *status,
                            GError **errp)
{
    bool moves =
        !strcmp(status, "finish-migrate") || !strcmp(status, "postmigrate");

    if (!running && !moves) {
        g_set_error(errp, CLIENT_ERROR, CLIENT_FAILED,
                    "the VM behind %s does not run (%s): start 'tapferry "
                    "source' beside the running VM, before it migrates",
                    vm, status);
    }
    return running || moves;
}

static bool source_add_args(GPtrArray *args, const SideOptions *options,
                            GError **errp)
{
    g_autofree char *address =
        side_parse_address(options->address, false, errp);
    g_autofree char *more = side_more_properties(options);
    const char *tls;

    if (!address) {
        return false;
    }
    tls = side_add_tls(args, options, "client");
    side_add(args, "-chardev", "socket,id=out0,%s,reconnect-ms=200%s", address,
             tls);
    side_add(args, "-object",
             "filter-redirector,id=rd0,netdev=n0,in_netdev=n0,outdev=out0,"
             "enable_when_stopped=on,capture=undelivered,acknowledge=on,"
             "keep-tap-ms=%.0f%s",
             MIN(options->quiet_time, KEEP_TAP_MAX) * 1000, more);
    return true;
}

/* The VM is here for good, or again. */
static bool source_has_returned(const SideState *state)
{
    bool busy =
        !strcmp(state->phase, "shipping") || !strcmp(state->phase, "returning");

    return !strcmp(state->vm, "running") && !busy &&
           ((state->moving && !strcmp(state->migration, "none")) ||
            (state->stopped && !strcmp(state->migration, "unknown")));
}

static Outcome source_outcome(const SideState *state,
                              const SideOptions *options)
{
    if (source_has_returned(state)) {
        return OUTCOME_CANCELLED;
    }
    if (state->settled == 0) {
        return OUTCOME_UNDER_WAY;
    }
    if (!state->stopped) {
        return OUTCOME_VM_ENDED;
    }
    if (state->waiting == 0 && state->unconfirmed == 0 &&
        state->now - MAX(state->changed, state->settled) >=
            options->quiet_time) {
        return OUTCOME_COMPLETED;
    }
    if (state->now - state->settled >= options->max_wait) {
        return state->waiting == 0 && state->unconfirmed == 0
                   ? OUTCOME_COMPLETED
                   : OUTCOME_UNFINISHED;
    }
    return OUTCOME_UNDER_WAY;
}

static const char *source_doing(const SideState *state)
{
    if (!state->stopped && !state->connected) {
        return "waiting for the destination";
    }
    if (!strcmp(state->phase, "shipping") && !state->connected) {
        return "the VM has stopped; waiting for the destination";
    }
    if (!strcmp(state->phase, "shipping")) {
        return state->settled > 0 ? "the VM has moved; waiting for silence"
                                  : "the VM has stopped; shipping";
    }
    if (!strcmp(state->phase, "returning")) {
        return "the VM runs here again; giving back";
    }
    return state->moving ? "the VM migrates" : "ready; migrate the VM";
}

static const SideClass source_class = {
    .name = "source",
    .is_source = true,
    .summary = "Run it beside the VM that is to move, before it migrates: it "
               "ships the frames\nthat the VM does not get any more to "
               "'tapferry destination' on the other host.",
    .address_option = "to",
    .address_help = "Where 'tapferry destination' listens",
    .address_form = "HOST:PORT",
    .quiet_time = 2,
    .check_vm = source_check_vm,
    .add_args = source_add_args,
    .came = "in_netdev",
    .gone = "outdev",
    .waiting = "queued",
    .outcome = source_outcome,
    .doing = source_doing,
};

bool cli_source(Cli *cli, int argc, char **argv, GError **errp)
{
    return side_run(&source_class, cli, argc, argv, errp);
}
