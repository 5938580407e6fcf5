/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A seccomp filter for the whole process: it allows the system calls that the
 * daemon needs, including those for objects created at run time. Calls that
 * only a compromised process would make (execve, setuid, mount, kernel modules,
 * writing another process's memory) kill it; others fail with EPERM.
 */
#ifndef TF_DAEMON_SANDBOX_H
#define TF_DAEMON_SANDBOX_H

#include <stdbool.h>

#include <glib.h>

/* Loads it for all threads, present and future; can't be undone. */
bool sandbox_enter(GError **errp);

#endif
