/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The transport of a connection: a plain socket, or TLS on top of it
 * (chardev/tls.h), behind one interface.
 *
 * Nothing blocks. A transport may buffer bytes of both directions, of which
 * epoll does not know: see transport_pending() and transport_owes(). The owner
 * watches the descriptor, and removes the watch before it frees the transport,
 * which closes the descriptor. In its loop only.
 */
#ifndef TF_CHARDEV_TRANSPORT_H
#define TF_CHARDEV_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

typedef struct Transport Transport;

/* NULL: nothing to do for a plain socket. */
typedef struct TransportClass {
    int (*handshake)(Transport *self);
    ssize_t (*read)(Transport *self, void *buffer, size_t size);
    ssize_t (*writev)(Transport *self, const struct iovec *iov, int n);
    bool (*pending)(const Transport *self);
    bool (*owes)(const Transport *self);
    void (*flush)(Transport *self);
    const char *(*failure)(const Transport *self);
    void (*free)(Transport *self);
} TransportClass;

struct Transport {
    const TransportClass *class;
    int fd; /* owned */
};

/* The socket @fd as it is. */
Transport *transport_new_plain(int fd);

/* Goes on with the handshake: 0 when it is complete, -EAGAIN while the peer has
 * yet to answer, another -errno if it failed. */
int transport_handshake(Transport *self);

/* As read() and writev() of ChardevClass. */
ssize_t transport_read(Transport *self, void *buffer, size_t size);
ssize_t transport_writev(Transport *self, const struct iovec *iov, int n);

/* There are buffered bytes to read. */
bool transport_pending(const Transport *self);

/* Bytes that were written wait in the buffer for EPOLLOUT. */
bool transport_owes(const Transport *self);

/* Sends buffered bytes, as far as the kernel takes them. */
void transport_flush(Transport *self);

/* Why it failed, where more is known than an errno; or NULL. */
const char *transport_failure(const Transport *self);

/* Ends the session (TLS close_notify) and closes the socket; harmless with
 * NULL.
 */
void transport_free(Transport *self);

#endif
