/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What carries the bytes of a connection: the socket itself, or TLS on top of
 * it (chardev/tls.h). The socket chardev reads, writes and watches; it need
 * not know which of the two it has.
 *
 * Nothing blocks. A transport may hold bytes of both directions that the
 * kernel does not know of: pending() and owes() tell. The owner watches the
 * descriptor and removes the watch before it frees the transport, which
 * closes the descriptor. In its loop only.
 */
#ifndef TF_CHARDEV_TRANSPORT_H
#define TF_CHARDEV_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

typedef struct Transport Transport;

/* NULL where plain bytes need nothing. */
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

/* Takes the next step: 0 when both sides are ready, -EAGAIN while the peer
 * has yet to answer, another -errno if it failed. */
int transport_handshake(Transport *self);

/* As ChardevClass has them. */
ssize_t transport_read(Transport *self, void *buffer, size_t size);
ssize_t transport_writev(Transport *self, const struct iovec *iov, int n);

/* A read would give something, whatever the kernel says. */
bool transport_pending(const Transport *self);

/* Some of what was written waits for room in the kernel: wants EPOLLOUT. */
bool transport_owes(const Transport *self);

/* Sends what is owed, as far as there is room. */
void transport_flush(Transport *self);

/* Why it failed, if it knows more than an errno says; or NULL. */
const char *transport_failure(const Transport *self);

/* Takes leave of the peer and closes the socket; harmless with NULL. */
void transport_free(Transport *self);

#endif
