/* SPDX-License-Identifier: BSD-2-Clause */
/* The far end of a chardev under test: takes as many bytes as it likes. */
#ifndef TF_TESTS_WIRE_FIXTURE_H
#define TF_TESTS_WIRE_FIXTURE_H

#include <sys/uio.h>

#include <glib.h>

/* As ChardevClass.writev: appends up to *@room bytes to @bytes, and takes them
 * off *@room; -EAGAIN if that is nothing. */
ssize_t wire_take(GByteArray *bytes, size_t *room, const struct iovec *iov,
                  int n);

#endif
