/* SPDX-License-Identifier: BSD-2-Clause */
/* Figures as a person reads them; all return text, owned. */
#ifndef TF_CLI_WORDS_H
#define TF_CLI_WORDS_H

#include <stdint.h>

#include <glib.h>

/* 1,234,567 */
char *words_count(int64_t n);

/* Microseconds as "412 µs", "113.4 ms", "2.31 s". */
char *words_duration(int64_t us);

/* "64 bytes", "1.2 KiB", … */
char *words_bytes(int64_t n);

/* CLOCK_REALTIME in microseconds as local time of day; "–" for 0. */
char *words_clock(int64_t us);

/* Likewise with the date, to the second. */
char *words_date(int64_t us);

#endif
