/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TLS as a transport: one GnuTLS session on one non-blocking socket.
 *
 * At most one record (16 KiB) of what was written waits in here for the
 * kernel. Renegotiation is refused, tickets are neither given nor kept.
 */
#ifndef TF_CHARDEV_TLS_H
#define TF_CHARDEV_TLS_H

#include "chardev/tls-creds.h"
#include "chardev/transport.h"

/* Takes @fd over; @creds must outlive it. A client verifies that the server
 * is @hostname; NULL for a server. NULL and an error: @fd is closed. */
Transport *tls_new(int fd, TlsCreds *creds, const char *hostname,
                   GError **errp);

#endif
