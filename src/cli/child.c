/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib/gstdio.h>

/* How long it may take to come up and to go down. */
#define CHILD_START_MS 15000
#define CHILD_STOP_MS 5000
#define CHILD_STEP_US 10000

#define CHILD_RUN_DIR "/run/tapferry"

static bool child_fail(GError **errp, const char *what, const char *path)
{
    g_set_error(errp, CLIENT_ERROR, CLIENT_FAILED, "%s %s: %s", what, path,
                g_strerror(errno));
    return false;
}

/* Beside ourselves, in ../sbin, or on the path; owned. */
static char *child_find_program(GError **errp)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *dir = g_path_get_dirname(self ? self : "/usr/bin/x");
    static const char *const places[] = {"tapferryd", "../sbin/tapferryd",
                                         "../libexec/tapferryd"};
    char *found;

    for (unsigned i = 0; i < G_N_ELEMENTS(places); i++) {
        g_autofree char *path = g_build_filename(dir, places[i], NULL);

        if (access(path, X_OK) == 0) {
            return g_steal_pointer(&path);
        }
    }
    found = g_find_program_in_path("tapferryd");
    if (!found) {
        g_set_error(errp, CLIENT_ERROR, CLIENT_FAILED,
                    "there is no tapferryd in %s nor on the path: install it "
                    "beside tapferry",
                    dir);
    }
    return found;
}

static void child_remove_dir(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(path, name, NULL);

        g_unlink(file);
    }
    g_rmdir(path);
}

/* What killed ones left: "child-PID-XXXXXX" of a process that is no more. */
static void child_sweep(const char *base)
{
    g_autoptr(GDir) dir = g_dir_open(base, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        int pid = g_str_has_prefix(name, "child-") ? atoi(name + 6) : 0;

        if (pid > 0 && kill(pid, 0) < 0 && errno == ESRCH) {
            g_autofree char *path = g_build_filename(base, name, NULL);

            child_remove_dir(path);
        }
    }
}

static bool child_make_dir(Child *child, GError **errp)
{
    const char *runtime = g_getenv("XDG_RUNTIME_DIR");
    g_autofree char *base = geteuid() == 0 || !runtime
                                ? g_strdup(CHILD_RUN_DIR)
                                : g_build_filename(runtime, "tapferry", NULL);
    g_autofree char *name =
        g_strdup_printf("%s/child-%d-XXXXXX", base, (int)getpid());

    if (g_mkdir_with_parents(base, 0755) < 0) {
        return child_fail(errp, "can not make the directory", base);
    }
    child_sweep(base);
    if (!g_mkdtemp(name)) {
        return child_fail(errp, "can not make a directory in", base);
    }
    child->dir = g_steal_pointer(&name);
    return true;
}

/* In the new process: a session of its own, so that a Ctrl-C reaches us alone
 * and the daemon ends when we say so. */
static G_NORETURN void child_exec(const char *program, char **argv, int log,
                                  pid_t parent)
{
    sigset_t none;
    int null = open("/dev/null", O_RDWR);

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent || null < 0 || dup2(null, STDIN_FILENO) < 0 ||
        dup2(log, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0) {
        _exit(126);
    }
    execv(program, argv);
    _exit(127);
}

static bool child_spawn(Child *child, const GPtrArray *args, GError **errp)
{
    g_autofree char *program = child_find_program(errp);
    g_autofree char *monitor =
        g_strdup_printf("unix:%s,server=on,wait=off", child->socket);
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    pid_t parent = getpid();
    int log;

    if (!program) {
        return false;
    }
    log = open(child->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (log < 0) {
        return child_fail(errp, "can not write the log", child->log);
    }
    g_ptr_array_add(argv, program);
    for (guint i = 0; i < args->len; i++) {
        g_ptr_array_add(argv, args->pdata[i]);
    }
    g_ptr_array_add(argv, (char *)"-qmp");
    g_ptr_array_add(argv, monitor);
    g_ptr_array_add(argv, NULL);
    child->pid = fork();
    if (child->pid == 0) {
        child_exec(program, (char **)argv->pdata, log, parent);
    }
    close(log);
    if (child->pid < 0) {
        child->pid = 0;
        return child_fail(errp, "can not start", program);
    }
    return true;
}

char *child_last_words(const Child *child)
{
    g_autofree char *text = NULL;
    char *line;

    if (!g_file_get_contents(child->log, &text, NULL, NULL)) {
        return g_strdup("it said nothing");
    }
    g_strchomp(text);
    line = strrchr(text, '\n');
    line = line ? line + 1 : text;
    if (g_str_has_prefix(line, "tapferryd: ")) {
        line += strlen("tapferryd: ");
    }
    if (*line == '-' && strstr(line, ": ")) {
        line = strstr(line, ": ") + 2; /* an option that we gave it */
    }
    return g_strdup(*line ? line : "it said nothing");
}

static bool child_has_ended(Child *child)
{
    if (child->pid > 0 && waitpid(child->pid, NULL, WNOHANG) == child->pid) {
        child->pid = 0;
    }
    return child->pid == 0;
}

static bool child_connect(Child *child, GError **errp)
{
    for (int waited = 0; waited < CHILD_START_MS * 1000;
         waited += CHILD_STEP_US) {
        if (child_has_ended(child)) {
            g_autofree char *words = child_last_words(child);

            g_set_error(errp, CLIENT_ERROR, CLIENT_FAILED, "%s", words);
            return false;
        }
        /* The old socket of a daemon that is gone may still be there. */
        if (access(child->socket, F_OK) == 0) {
            child->client = client_open(child->socket, NULL);
            if (child->client) {
                return true;
            }
        }
        g_usleep(CHILD_STEP_US);
    }
    g_set_error(errp, CLIENT_ERROR, CLIENT_SILENT,
                "tapferryd does not come up; its log is %s", child->log);
    return false;
}

bool child_start(Child *child, const char *socket, const char *log,
                 const GPtrArray *args, GError **errp)
{
    if (!child_make_dir(child, errp)) {
        return false;
    }
    child->socket = socket ? g_strdup(socket)
                           : g_build_filename(child->dir, "qmp.sock", NULL);
    child->log =
        log ? g_strdup(log) : g_build_filename(child->dir, "log", NULL);
    return child_spawn(child, args, errp) && child_connect(child, errp);
}

void child_stop(Child *child)
{
    client_close(g_steal_pointer(&child->client));
    if (child->pid > 0) {
        kill(child->pid, SIGTERM);
    }
    for (int waited = 0; !child_has_ended(child); waited += CHILD_STEP_US) {
        if (waited >= CHILD_STOP_MS * 1000) {
            kill(child->pid, SIGKILL);
            waitpid(child->pid, NULL, 0);
            child->pid = 0;
            break;
        }
        g_usleep(CHILD_STEP_US);
    }
    if (child->dir) {
        child_remove_dir(child->dir);
    }
    g_clear_pointer(&child->dir, g_free);
    g_clear_pointer(&child->socket, g_free);
    g_clear_pointer(&child->log, g_free);
}
