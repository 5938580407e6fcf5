/* SPDX-License-Identifier: BSD-2-Clause */
/* Unix socket names, for the files of the address module alone. */
#ifndef TF_BASE_ADDRESS_UNIX_H
#define TF_BASE_ADDRESS_UNIX_H

#include "base/address.h"

#include <sys/socket.h>
#include <sys/un.h>

/* Fills @un and its length from a unix @address. */
bool address_fill_unix(const Address *address, struct sockaddr_un *un,
                       socklen_t *len, GError **errp);

/* Removes a socket file whose socket is closed (connect() is refused). */
void address_remove_stale(const struct sockaddr_un *un, socklen_t len);

#endif
