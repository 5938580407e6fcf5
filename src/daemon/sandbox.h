/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A seccomp filter over the whole process: from now on it can do what the
 * daemon does, with objects made at run time, and nothing else. What a program
 * only asks for that has been taken over (another program, another user, a
 * mount, a kernel module, another process's memory to be written) ends it;
 * anything else that is not on the list fails with EPERM.
 */
#ifndef TF_DAEMON_SANDBOX_H
#define TF_DAEMON_SANDBOX_H

#include <stdbool.h>

#include <glib.h>

/* For all threads, those to come included; can't be undone. */
bool sandbox_enter(GError **errp);

#endif
