/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/signals.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t signals_number;

static void signals_handler(int number)
{
    signals_number = number;
}

void signals_catch(void)
{
    /* No SA_RESTART: poll() is to return. */
    struct sigaction action = {.sa_handler = signals_handler};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

bool signals_caught(void)
{
    return signals_number != 0;
}
