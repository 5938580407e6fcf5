/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/process.h"

#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* To the waiting parent: "" when ready, else an error's text. */
static int process_report_fd = -1;

static const char *process_pidfile;
static int process_pidfile_fd = -1;

/* Waits for the child's report and ends the process accordingly. */
static G_NORETURN void process_wait_for_child(int fd, pid_t child)
{
    char buffer[4096];
    size_t used = 0;
    ssize_t n;

    while (used < sizeof(buffer)) {
        n = read(fd, buffer + used, sizeof(buffer) - used);
        if (n > 0) {
            used += (size_t)n;
        } else if (n == 0 || errno != EINTR) {
            break;
        }
    }
    if (used > 0 && buffer[0] == '\0') {
        _exit(0);
    }
    if (used > 0) {
        fprintf(stderr, "%.*s", (int)used, buffer);
    } else {
        int status = 0;

        /* Ended by a signal on its way up, which may have been meant so. */
        waitpid(child, &status, 0);
        if (WIFEXITED(status)) {
            _exit(WEXITSTATUS(status));
        }
        fprintf(stderr, "tapferryd: the daemon ended before it was ready\n");
    }
    _exit(1);
}

bool process_daemonize(GError **errp)
{
    int fds[2];
    pid_t child;

    if (pipe2(fds, O_CLOEXEC) < 0) {
        return tf_error_set_errno(errp, errno, "can not make a pipe");
    }
    child = fork();
    if (child < 0) {
        close(fds[0]);
        close(fds[1]);
        return tf_error_set_errno(errp, errno, "can not fork");
    }
    if (child > 0) {
        close(fds[1]);
        process_wait_for_child(fds[0], child);
    }
    close(fds[0]);
    process_report_fd = fds[1];
    setsid();
    return true;
}

static void process_leave_terminal(void)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (fd >= 0) {
        dup2(fd, STDIN_FILENO);
        dup2(fd, STDOUT_FILENO);
        dup2(fd, STDERR_FILENO);
        close(fd);
    }
}

static void process_report(const char *text, size_t size)
{
    if (write(process_report_fd, text, size) < 0) {
        /* The parent is gone, and nobody else wants to know. */
    }
    close(process_report_fd);
    process_report_fd = -1;
}

void process_ready(void)
{
    if (process_report_fd >= 0) {
        process_leave_terminal();
        process_report("", 1);
    }
}

void process_fail(const char *message)
{
    g_autofree char *valid = g_utf8_make_valid(message, -1);
    g_autofree char *line = NULL;

    g_strdelimit(valid, "\r\n", ' ');
    line = g_strdup_printf("tapferryd: %s\n", valid);

    if (process_report_fd >= 0) {
        process_report(line, strlen(line));
    } else {
        fputs(line, stderr);
    }
}

/* Locks the file behind @fd. False if it was replaced meanwhile. */
static bool process_lock_pidfile(int fd, const char *path, GError **errp)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct stat locked, named;

    if (fcntl(fd, F_SETLK, &lock) < 0) {
        return tf_error_set(errp,
                            "pid file '%s' is locked: another daemon "
                            "runs",
                            path);
    }
    if (fstat(fd, &locked) < 0 || stat(path, &named) < 0 ||
        locked.st_ino != named.st_ino || locked.st_dev != named.st_dev) {
        return tf_error_set(errp, "pid file '%s' changed hands: try again",
                            path);
    }
    return true;
}

bool process_write_pidfile(const char *path, GError **errp)
{
    char text[32];
    int length = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

    if (fd < 0) {
        return tf_error_set_errno(errp, errno, "can not create pid file '%s'",
                                  path);
    }
    if (!process_lock_pidfile(fd, path, errp)) {
        close(fd);
        return false;
    }
    if (ftruncate(fd, 0) < 0 || write(fd, text, (size_t)length) != length) {
        tf_error_set_errno(errp, errno, "can not write pid file '%s'", path);
        close(fd);
        return false;
    }
    /* The lock lasts as long as the descriptor, which is never closed. */
    process_pidfile = path;
    process_pidfile_fd = fd;
    return true;
}

void process_remove_pidfile(void)
{
    if (process_pidfile && unlink(process_pidfile) < 0 &&
        ftruncate(process_pidfile_fd, 0) < 0) {
        /* Its lock goes with the process, so nobody is misled. */
    }
}

void process_check_pidfile(void)
{
    g_autofree char *directory =
        process_pidfile ? g_path_get_dirname(process_pidfile) : NULL;

    if (directory && access(directory, W_OK) < 0) {
        log_warning("daemon",
                    "pid file '%s' will be left empty at the end: this user "
                    "may not remove it from '%s'",
                    process_pidfile, directory);
    }
}

void process_raise_limits(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}
