/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TF_BASE_STDIO_H
#define TF_BASE_STDIO_H

#include <stdbool.h>

/* First of all: where standard input, output or error are closed, nothing else
 * may get their numbers, and with them what is meant to be printed. What is
 * read there ends at once, what is written there fails. */
void stdio_reserve(void);

/* What was printed is out. False: some of it is lost. */
bool stdio_flush(void);

#endif
