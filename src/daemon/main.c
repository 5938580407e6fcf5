/* SPDX-License-Identifier: BSD-2-Clause */
/* tapferryd: makes what the command line names and runs the loop. */
#include "daemon/options.h"
#include "daemon/privileges.h"
#include "daemon/process.h"
#include "daemon/sandbox.h"

#include "base/closer.h"
#include "base/connector.h"
#include "base/error.h"
#include "base/event.h"
#include "base/log.h"
#include "base/loop-thread.h"
#include "base/stdio.h"
#include "filter/filter.h"
#include "monitor/command.h"
#include "monitor/run-state.h"
#include "monitor/server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

static bool main_create(const GPtrArray *items, GError **errp)
{
    for (guint i = 0; i < items->len; i++) {
        const OptionItem *item = items->pdata[i];
        g_autoptr(GError) error = NULL;
        json_auto_t *result =
            command_execute(item->command, item->args, item->syntax, &error);

        if (!result) {
            return tf_error_set(errp, "%s: %s", item->text, error->message);
        }
    }
    return true;
}

/* Executes one {"execute", "arguments"} of -readconfig. */
static bool main_execute(json_t *request, size_t number, const char *path,
                         GError **errp)
{
    const char *name = NULL;
    json_t *args = NULL;
    json_error_t json_error;
    g_autoptr(GError) error = NULL;
    json_auto_t *result = NULL;

    if (json_unpack_ex(request, &json_error, JSON_STRICT, "{s:s, s?o}",
                       "execute", &name, "arguments", &args) < 0) {
        return tf_error_set(errp, "-readconfig %s: command %zu: %s", path,
                            number, json_error.text);
    }
    if (args && !json_is_object(args)) {
        return tf_error_set(errp,
                            "-readconfig %s: command %zu: 'arguments' must be "
                            "an object",
                            path, number);
    }
    result = command_execute(name, args, PROP_SYNTAX_JSON, &error);
    if (!result) {
        return tf_error_set(errp, "-readconfig %s: command %zu (%s): %s", path,
                            number, name, error->message);
    }
    return true;
}

static bool main_read_config(const char *path, GError **errp)
{
    json_error_t error;
    json_auto_t *list = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    json_t *request;
    size_t i;

    if (!list) {
        g_autofree char *why = g_utf8_make_valid(error.text, -1);

        return error.line < 0
                   ? tf_error_set(errp, "-readconfig %s: %s", path, why)
                   : tf_error_set(errp, "-readconfig %s: line %d: %s", path,
                                  error.line, why);
    }
    if (!json_is_array(list)) {
        return tf_error_set(errp,
                            "-readconfig %s: must hold an array of "
                            "commands",
                            path);
    }
    json_array_foreach (list, i, request) {
        if (!main_execute(request, i + 1, path, errp)) {
            return false;
        }
    }
    return true;
}

static bool main_open_monitors(const GPtrArray *monitors, GError **errp)
{
    for (guint i = 0; i < monitors->len; i++) {
        const OptionMonitor *monitor = monitors->pdata[i];
        g_autoptr(GError) error = NULL;

        if (!monitor_open(monitor->device, monitor->mode, &error)) {
            return tf_error_set(errp, "%s: %s", monitor->text, error->message);
        }
    }
    return true;
}

static void main_reopen(void)
{
    log_reopen();
    filter_reopen_all();
    log_info("daemon", "SIGHUP: log and dump files are opened anew");
}

/* A signal's number, written by its handler. */
static int main_signals[2];
static LoopWatch main_signals_watch;

static void main_caught(int number)
{
    uint8_t byte = (uint8_t)number;
    int error = errno;

    if (write(main_signals[1], &byte, 1) < 0) {
        /* EAGAIN: thousands of them are there already. */
    }
    errno = error;
}

static void main_signalled(void *opaque, uint32_t events)
{
    uint8_t byte;

    while (read(main_signals[0], &byte, 1) == 1) {
        if (byte == SIGHUP) {
            main_reopen();
        } else {
            run_state_shutdown("host-signal");
        }
    }
}

/* Before the loop runs (a chardev may wait for its peer) there is little to
 * put in order. */
static void main_terminate_early(int number)
{
    process_remove_pidfile();
    _exit(0);
}

static void main_catch_early(void)
{
    struct sigaction action = {.sa_handler = main_terminate_early};

    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file at its limit is a failed write */
    signal(SIGHUP, SIG_IGN);
}

static void main_catch(void)
{
    struct sigaction action = {.sa_handler = main_caught,
                               .sa_flags = SA_RESTART};

    if (pipe2(main_signals, O_CLOEXEC | O_NONBLOCK) < 0) {
        return; /* the early handlers stay */
    }
    loop_watch_add(&main_signals_watch, main_signals[0], EPOLLIN,
                   main_signalled, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

/* Everything is there before a monitor answers. */
static bool main_setup(const Options *options, GError **errp)
{
    main_catch_early();
    if ((options->logfile && !log_open(options->logfile, errp)) ||
        (options->pidfile && !process_write_pidfile(options->pidfile, errp))) {
        return false;
    }
    run_state_init(options->stopped);
    monitor_init();
    for (unsigned i = 0; i < OPTION_STAGE__MAX; i++) {
        if (!main_create(options->items[i], errp)) {
            return false;
        }
    }
    if (options->readconfig && !main_read_config(options->readconfig, errp)) {
        return false;
    }
    main_catch();
    return main_open_monitors(options->monitors, errp);
}

/* From now on the daemon can do what it has to and no more. */
static bool main_confine(const Options *options, GError **errp)
{
    /* Threads may do what they could when they began. */
    closer_finish();
    if (options->user || options->sandbox) {
        connector_wait_lookups();
    }
    if (options->user) {
        if (!privileges_reduce(errp)) {
            return false;
        }
        process_check_pidfile();
    }
    return !options->sandbox || sandbox_enter(errp);
}

static void main_end(void)
{
    const char *reason = run_state_shutdown_reason();

    if (reason) {
        event_emit("SHUTDOWN",
                   json_pack("{s:b, s:s}", "guest", 0, "reason", reason));
    }
    monitor_close_all();
    object_destroy_all();
    closer_finish();
    process_remove_pidfile();
}

static int main_run(const Options *options)
{
    g_autoptr(GError) error = NULL;
    bool ok;

    loop_threads_hold();
    ok = (!options->daemonize || process_daemonize(&error)) &&
         (!options->user || privileges_become(options->user, &error)) &&
         main_setup(options, &error) && main_confine(options, &error) &&
         loop_threads_start(&error);

    if (ok) {
        process_ready();
        if (!run_state_shutdown_reason()) {
            loop_threads_release();
            loop_run();
            loop_threads_hold();
        }
    } else {
        process_fail(error->message);
    }
    main_end();
    return ok ? 0 : 1;
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    Options options;
    int status = 0;

    stdio_reserve();
    if (g_getenv("TAPFERRY_DEBUG")) {
        log_set_level(LOG_LEVEL_DEBUG);
    }
    process_raise_limits();
    options_init(&options);
    if (!options_parse(&options, argc, argv, &error)) {
        process_fail(error->message);
        status = 1;
    } else if (options.print) {
        fputs(options.print, stdout);
        if (!stdio_flush()) {
            process_fail("can not write the output");
            status = 1;
        }
    } else {
        status = main_run(&options);
    }
    options_clear(&options);
    return status;
}
