/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Queries a VM's monitor once, before the daemon is started, so that errors are
 * reported at once and in one line.
 */
#ifndef TF_CLI_VM_CHECK_H
#define TF_CLI_VM_CHECK_H

#include <stdbool.h>

#include <glib.h>

/* @vm: unix:PATH, a path, or tcp:HOST:PORT. Sets @address to what vm-qmp
 * takes, @status to query-status's; both owned. */
bool vm_check(const char *vm, char **address, bool *running, char **status,
              GError **errp);

#endif
