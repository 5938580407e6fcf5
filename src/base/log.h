/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Log: one line per call, to stderr or the file of -D, with a time stamp, the
 * level and the module's name (@part). Any thread.
 *
 * Nothing on a packet's path logs above debug; what can happen once per packet
 * is counted, and logged at most once a second by means of LogLimit.
 */
#ifndef TF_BASE_LOG_H
#define TF_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

typedef enum LogLevel {
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARNING,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG,
} LogLevel;

/* Lines above @level are left out; the default is LOG_LEVEL_INFO. */
void log_set_level(LogLevel level);

/* Appends to the file @path from now on; NULL means stderr. */
bool log_open(const char *path, GError **errp);

/* Opens the file again under its name (SIGHUP after a rotation). */
void log_reopen(void);

void log_write(LogLevel level, const char *part, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

#define log_error(part, ...) log_write(LOG_LEVEL_ERROR, part, __VA_ARGS__)
#define log_warning(part, ...) log_write(LOG_LEVEL_WARNING, part, __VA_ARGS__)
#define log_info(part, ...) log_write(LOG_LEVEL_INFO, part, __VA_ARGS__)
#define log_debug(part, ...) log_write(LOG_LEVEL_DEBUG, part, __VA_ARGS__)

/* One line per second at most; zeroed at first. */
typedef struct LogLimit {
    int64_t next_us; /* CLOCK_MONOTONIC */
} LogLimit;

/* True if the caller may log now. */
bool log_limit_pass(LogLimit *limit);

#endif
