/* SPDX-License-Identifier: BSD-2-Clause */
/* A command that lasts ends cleanly at SIGINT, SIGTERM or SIGHUP. */
#ifndef TF_CLI_SIGNALS_H
#define TF_CLI_SIGNALS_H

#include <stdbool.h>

/* From now on such a signal interrupts what waits, and is remembered. */
void signals_catch(void);
bool signals_caught(void);

#endif
