/* SPDX-License-Identifier: BSD-2-Clause */
#include "wire-fixture.h"

#include <errno.h>

ssize_t wire_take(GByteArray *bytes, size_t *room, const struct iovec *iov,
                  int n)
{
    ssize_t taken = 0;

    for (int i = 0; i<n && * room> 0; i++) {
        size_t part = MIN(iov[i].iov_len, *room);

        g_byte_array_append(bytes, iov[i].iov_base, (guint)part);
        *room -= part;
        taken += (ssize_t)part;
    }
    return taken > 0 ? taken : -EAGAIN;
}
