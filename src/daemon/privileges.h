/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Drops root's privileges in two steps. During startup the daemon already has
 * the other user's id, so that files and sockets it creates belong to that
 * user, but still has all capabilities, to open, bind and create what the
 * command line names. Afterwards it keeps three of them. Main thread only,
 * before any other thread is started.
 */
#ifndef TF_DAEMON_PRIVILEGES_H
#define TF_DAEMON_PRIVILEGES_H

#include <stdbool.h>

#include <glib.h>

/* Changes to user @user and its groups; keeps all capabilities. */
bool privileges_become(const char *user, GError **errp);

/*
 * Gives up all capabilities but
 *   CAP_NET_RAW      AF_PACKET sockets,
 *   CAP_NET_ADMIN    promiscuous mode, large socket buffers, and
 *   CAP_SYS_PTRACE   guest memory and the VMM's descriptors,
 * as far as it has them, and sets no_new_privs.
 */
bool privileges_reduce(GError **errp);

#endif
