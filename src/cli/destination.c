/* SPDX-License-Identifier: BSD-2-Clause */
/* tapferry destination --tap IF --vm ADDR --listen [HOST]:PORT */
#include "cli/side.h"

#include <string.h>

/* A source that has gone for so long does not come back; one that acknowledges
 * says so. */
#define PARTED_S 1.0

static bool destination_check_vm(const char *vm, bool running,
                                 const char *status, GError **errp)
{
    if (running) {
        g_set_error(errp, CLIENT_ERROR, CLIENT_FAILED,
                    "the VM behind %s runs already: name the monitor of the "
                    "one that waits for the migration (-incoming)",
                    vm);
    }
    return !running;
}

static bool destination_add_args(GPtrArray *args, const SideOptions *options,
                                 GError **errp)
{
    g_autofree char *address = side_parse_address(options->address, true, errp);
    g_autofree char *more = side_more_properties(options);
    const char *tls;

    if (!address) {
        return false;
    }
    tls = side_add_tls(args, options, "server");
    side_add(args, "-chardev", "socket,id=in0,%s,server=on,wait=off%s", address,
             tls);
    side_add(args, "-object",
             "filter-redirector,id=rd0,netdev=n0,indev=in0,out_netdev=n0%s",
             more);
    return true;
}

static Outcome destination_outcome(const SideState *state,
                                   const SideOptions *options)
{
    bool parted = state->was_connected && !state->connected &&
                  (state->ended || !state->acknowledged) &&
                  state->now - state->parted >= PARTED_S;
    bool quiet;

    if (!state->ran) {
        return !strcmp(state->vm, "gone") ? OUTCOME_CANCELLED
                                          : OUTCOME_UNDER_WAY;
    }
    quiet =
        state->now - MAX(state->changed, state->settled) >= options->quiet_time;
    if (state->waiting == 0 && (parted || quiet)) {
        return OUTCOME_COMPLETED;
    }
    if (!strcmp(state->vm, "gone") ||
        (quiet && state->now - state->changed >= options->max_wait)) {
        return OUTCOME_UNFINISHED;
    }
    return OUTCOME_UNDER_WAY;
}

static const char *destination_doing(const SideState *state)
{
    if (!state->ran && !state->was_connected) {
        return "waiting for the source";
    }
    if (!strcmp(state->phase, "holding")) {
        return "holding until the VM runs";
    }
    if (!strcmp(state->phase, "releasing")) {
        return "the VM runs; injecting";
    }
    return state->ran ? "the VM runs; waiting for late frames"
                      : "ready; migrate the VM";
}

static const SideClass destination_class = {
    .name = "destination",
    .summary = "Run it beside the QEMU that waits for the migration: it takes "
               "what 'tapferry\nsource' ships, and gives it to the VM when it "
               "runs here.",
    .address_option = "listen",
    .address_help = "Where to wait for 'tapferry source'",
    .address_form = "[HOST]:PORT",
    .any_host = true,
    .quiet_time = 10,
    .check_vm = destination_check_vm,
    .add_args = destination_add_args,
    .came = "indev",
    .gone = "out_netdev",
    .waiting = "held",
    .outcome = destination_outcome,
    .doing = destination_doing,
};

bool cli_destination(Cli *cli, int argc, char **argv, GError **errp)
{
    return side_run(&destination_class, cli, argc, argv, errp);
}
