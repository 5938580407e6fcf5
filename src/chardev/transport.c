/* SPDX-License-Identifier: BSD-2-Clause */
#include "chardev/transport.h"

#include <errno.h>
#include <limits.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib.h>

static ssize_t plain_read(Transport *self, void *buffer, size_t size)
{
    ssize_t n;

    do {
        n = recv(self->fd, buffer, size, MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static ssize_t plain_writev(Transport *self, const struct iovec *iov, int n)
{
    struct msghdr message = {
        .msg_iov = (struct iovec *)iov,
        .msg_iovlen = (size_t)MIN(n, IOV_MAX),
    };
    ssize_t written;

    do {
        written = sendmsg(self->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (written < 0 && errno == EINTR);
    return written < 0 ? -errno : written;
}

static void plain_free(Transport *self)
{
    g_free(self);
}

static const TransportClass plain_class = {
    .read = plain_read,
    .writev = plain_writev,
    .free = plain_free,
};

Transport *transport_new_plain(int fd)
{
    Transport *self = g_new(Transport, 1);

    *self = (Transport){.class = &plain_class, .fd = fd};
    return self;
}

int transport_handshake(Transport *self)
{
    return self->class->handshake ? self->class->handshake(self) : 0;
}

ssize_t transport_read(Transport *self, void *buffer, size_t size)
{
    return self->class->read(self, buffer, size);
}

ssize_t transport_writev(Transport *self, const struct iovec *iov, int n)
{
    return self->class->writev(self, iov, n);
}

bool transport_pending(const Transport *self)
{
    return self->class->pending && self->class->pending(self);
}

bool transport_owes(const Transport *self)
{
    return self->class->owes && self->class->owes(self);
}

void transport_flush(Transport *self)
{
    if (self->class->flush) {
        self->class->flush(self);
    }
}

const char *transport_failure(const Transport *self)
{
    return self->class->failure ? self->class->failure(self) : NULL;
}

void transport_free(Transport *self)
{
    if (self) {
        int fd = self->fd;

        self->class->free(self);
        close(fd);
    }
}
