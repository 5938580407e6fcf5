/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Another user than root, in two steps. While the daemon starts it already is
 * that user, so that what it makes is his, and still has root's capabilities,
 * so that it can read, bind and make whatever the command line names. Then it
 * keeps three of them. Main thread only, before there is another.
 */
#ifndef TF_DAEMON_PRIVILEGES_H
#define TF_DAEMON_PRIVILEGES_H

#include <stdbool.h>

#include <glib.h>

/* Becomes the user named @user, with his groups; keeps all capabilities. */
bool privileges_become(const char *user, GError **errp);

/*
 * Gives up all capabilities but
 *   CAP_NET_RAW      AF_PACKET sockets,
 *   CAP_NET_ADMIN    promiscuous mode, large socket buffers, and
 *   CAP_SYS_PTRACE   guest memory and the VMM's descriptors,
 * as far as they are there, and with them the way back (no_new_privs).
 */
bool privileges_reduce(GError **errp);

#endif
