/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/log.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static LogLevel log_level = LOG_LEVEL_INFO;
static int log_fd = STDERR_FILENO;
static char *log_path;

void log_set_level(LogLevel level)
{
    log_level = level;
}

static bool log_open_path(const char *path, GError **errp)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);

    if (fd < 0) {
        return tf_error_set_errno(errp, errno, "can not open log file '%s'",
                                  path);
    }
    if (log_fd != STDERR_FILENO) {
        close(log_fd);
    }
    log_fd = fd;
    return true;
}

bool log_open(const char *path, GError **errp)
{
    if (path && !log_open_path(path, errp)) {
        return false;
    }
    g_free(log_path);
    log_path = g_strdup(path);
    return true;
}

void log_reopen(void)
{
    g_autoptr(GError) error = NULL;

    if (log_path && !log_open_path(log_path, &error)) {
        log_error("log", "%s", error->message);
    }
}

void log_write(LogLevel level, const char *part, const char *format, ...)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    char line[1024];
    struct timespec now;
    struct tm tm;
    size_t used;
    int length;
    va_list ap;

    if (level > log_level) {
        return;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &tm);
    used = strftime(line, sizeof(line), "%Y-%m-%d %H:%M:%S", &tm);
    used += (size_t)snprintf(line + used, sizeof(line) - used,
                             ".%06ld %s %s: ", now.tv_nsec / 1000, names[level],
                             part);
    va_start(ap, format);
    length = vsnprintf(line + used, sizeof(line) - used - 1, format, ap);
    va_end(ap);
    used += MIN((size_t)MAX(length, 0), sizeof(line) - used - 2);
    line[used++] = '\n';
    if (write(log_fd, line, used) < 0) {
        return; /* there is nobody left to tell */
    }
}

bool log_limit_pass(LogLimit *limit)
{
    int64_t now = g_get_monotonic_time();

    if (now < limit->next_us) {
        return false;
    }
    limit->next_us = now + G_USEC_PER_SEC;
    return true;
}
