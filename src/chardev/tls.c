/* SPDX-License-Identifier: BSD-2-Clause */
#include "chardev/tls.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* Longest record (RFC 8446, 5.1). */
#define TLS_RECORD_MAX 16384
/* Bytes that may wait for the kernel: a record, a handshake's flight with a
 * chain of certificates, alerts and key updates for a peer that does not
 * read. */
#define TLS_OWED_MAX (256 * 1024)

typedef struct Tls {
    Transport transport;
    gnutls_session_t session;
    char *hostname;
    GByteArray *owed;  /* records that the kernel has not taken, */
    size_t owed_start; /* from here on */
    uint8_t *plain;    /* collects a record; NULL: nothing written yet */
    bool ready;        /* the handshake is over */
    int end;           /* 1; after the end of reading, its result */
    int io_error;      /* of the socket */
    char *failure;
} Tls;

/* Between GnuTLS and the socket */

static void tls_flush(Transport *transport)
{
    Tls *self = (Tls *)transport;

    while (self->owed_start < self->owed->len) {
        ssize_t n = send(transport->fd, self->owed->data + self->owed_start,
                         self->owed->len - self->owed_start,
                         MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n >= 0) {
            self->owed_start += (size_t)n;
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR) {
            self->io_error = errno;
            break; /* nobody will take it */
        }
    }
    self->owed_start = 0;
    g_byte_array_set_size(self->owed, 0);
}

/* Takes complete records, so that GnuTLS never has to be called again with the
 * same bytes, which the caller may have freed meanwhile. */
static ssize_t tls_push(gnutls_transport_ptr_t opaque, const void *data,
                        size_t size)
{
    Tls *self = opaque;

    if (self->owed->len + size > TLS_OWED_MAX) {
        self->io_error = ENOBUFS;
    } else {
        g_byte_array_append(self->owed, data, (guint)size);
        tls_flush(&self->transport);
    }
    if (self->io_error) {
        gnutls_transport_set_errno(self->session, self->io_error);
        return -1;
    }
    return (ssize_t)size;
}

static ssize_t tls_pull(gnutls_transport_ptr_t opaque, void *buffer,
                        size_t size)
{
    Tls *self = opaque;
    ssize_t n;

    do {
        n = recv(self->transport.fd, buffer, size, MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        if (errno != EAGAIN) {
            self->io_error = errno;
        }
        gnutls_transport_set_errno(self->session, errno);
    }
    return n;
}

static bool tls_would_block(ssize_t code)
{
    return code < 0 && !gnutls_error_is_fatal((int)code) &&
           code != GNUTLS_E_REHANDSHAKE;
}

/* Stores the reason for GnuTLS's @code, unless there is a more specific one. */
static void tls_fail(Tls *self, int code)
{
    if (self->failure) {
        return;
    }
    if (code == GNUTLS_E_FATAL_ALERT_RECEIVED) {
        self->failure = g_strdup_printf(
            "the peer says: %s",
            gnutls_alert_get_name(gnutls_alert_get(self->session)));
    } else if (self->io_error) {
        self->failure = g_strdup(g_strerror(self->io_error));
    } else {
        g_autofree char *text = g_strdup(gnutls_strerror(code));

        self->failure = g_strdup(g_strchomp(g_strdelimit(text, "\n", ' ')));
    }
}

/* The handshake */

/* Callback of GnuTLS with the peer's certificate, so that the peer gets an
 * alert that says what is wrong with it. */
static int tls_verify(gnutls_session_t session)
{
    Tls *self = gnutls_session_get_ptr(session);
    unsigned status = 0;
    int rc = gnutls_certificate_verify_peers3(session, self->hostname, &status);

    if (rc < 0) {
        self->failure =
            g_strdup_printf("Verify failed: %s", gnutls_strerror(rc));
    } else if (status & GNUTLS_CERT_UNEXPECTED_OWNER) {
        self->failure =
            g_strdup_printf("%s %s", tls_status_text(status), self->hostname);
    } else if (status) {
        self->failure = g_strdup(tls_status_text(status));
    }
    return self->failure ? GNUTLS_E_CERTIFICATE_ERROR : 0;
}

static int tls_handshake(Transport *transport)
{
    Tls *self = (Tls *)transport;
    int rc = gnutls_handshake(self->session);

    if (rc == 0) {
        self->ready = true;
        return 0;
    }
    if (tls_would_block(rc)) {
        return -EAGAIN;
    }
    tls_fail(self, rc);
    gnutls_alert_send_appropriate(self->session, rc);
    return -EPROTO;
}

/* Bytes */

static ssize_t tls_read(Transport *transport, void *buffer, size_t size)
{
    Tls *self = (Tls *)transport;
    size_t got = 0;
    ssize_t n = 1;

    while (self->end > 0 && n > 0 && got < size) {
        n = gnutls_record_recv(self->session, (uint8_t *)buffer + got,
                               size - got);
        if (n > 0) {
            got += (size_t)n;
        } else if (n == 0) {
            self->end = 0;
        } else if (!tls_would_block(n)) {
            self->end = -ECONNRESET;
            /* A closed connection is not a failure, as with plain sockets. */
            if (n != GNUTLS_E_PREMATURE_TERMINATION && !self->io_error) {
                tls_fail(self, (int)n);
            }
        }
    }
    if (got > 0) {
        return (ssize_t)got;
    }
    return self->end > 0 ? -EAGAIN : self->end;
}

/* Copies up to one record from @skip on; returns how many bytes. */
static size_t tls_gather(Tls *self, const struct iovec *iov, int n, size_t skip)
{
    size_t len = 0;

    for (int i = 0; i < n && len < TLS_RECORD_MAX; i++) {
        size_t part;

        if (skip >= iov[i].iov_len) {
            skip -= iov[i].iov_len;
            continue;
        }
        part = MIN(iov[i].iov_len - skip, TLS_RECORD_MAX - len);
        memcpy(self->plain + len, (const uint8_t *)iov[i].iov_base + skip,
               part);
        len += part;
        skip = 0;
    }
    return len;
}

static bool tls_owes(const Transport *transport)
{
    return ((const Tls *)transport)->owed->len > 0;
}

static ssize_t tls_writev(Transport *transport, const struct iovec *iov, int n)
{
    Tls *self = (Tls *)transport;
    ssize_t sent = 1;
    size_t total = 0, len;

    if (!self->plain) {
        self->plain = g_malloc(TLS_RECORD_MAX);
    }
    tls_flush(transport);
    while (sent > 0 && !tls_owes(transport) &&
           (len = tls_gather(self, iov, n, total)) > 0) {
        sent = gnutls_record_send(self->session, self->plain, len);
        if (sent > 0) {
            total += (size_t)sent;
        }
    }
    if (total > 0) {
        return (ssize_t)total;
    }
    if (sent > 0 || tls_would_block(sent)) {
        return -EAGAIN;
    }
    if (!self->io_error) {
        tls_fail(self, (int)sent); /* otherwise epoll tells */
    }
    return -EPIPE;
}

static bool tls_pending(const Transport *transport)
{
    const Tls *self = (const Tls *)transport;

    return self->end <= 0 || gnutls_record_check_pending(self->session) > 0;
}

static const char *tls_failure(const Transport *transport)
{
    return ((const Tls *)transport)->failure;
}

static void tls_free(Transport *transport)
{
    Tls *self = (Tls *)transport;

    if (self->ready && !self->io_error) {
        gnutls_bye(self->session, GNUTLS_SHUT_WR);
    }
    if (self->session) {
        gnutls_deinit(self->session);
    }
    g_byte_array_unref(self->owed);
    if (self->plain) {
        gnutls_memset(self->plain, 0, TLS_RECORD_MAX);
        g_free(self->plain);
    }
    g_free(self->hostname);
    g_free(self->failure);
    g_free(self);
}

static const TransportClass tls_class = {
    .handshake = tls_handshake,
    .read = tls_read,
    .writev = tls_writev,
    .pending = tls_pending,
    .owes = tls_owes,
    .flush = tls_flush,
    .failure = tls_failure,
    .free = tls_free,
};

static int tls_init_session(Tls *self, TlsCreds *creds)
{
    const TlsCredsClass *class = (const TlsCredsClass *)creds->object.class;
    bool server = creds->endpoint == TLS_ENDPOINT_SERVER;
    int rc =
        gnutls_init(&self->session, (server ? GNUTLS_SERVER : GNUTLS_CLIENT) |
                                        GNUTLS_NONBLOCK | GNUTLS_NO_TICKETS);

    if (rc < 0) {
        self->session = NULL;
        return rc;
    }
    gnutls_session_set_ptr(self->session, self);
    gnutls_transport_set_ptr(self->session, self);
    gnutls_transport_set_push_function(self->session, tls_push);
    gnutls_transport_set_pull_function(self->session, tls_pull);
    if (class->certificates && creds->verify_peer) {
        gnutls_session_set_verify_function(self->session, tls_verify);
    }
    rc = gnutls_priority_set(self->session, creds->priorities);
    return rc < 0 ? rc : class->equip(creds, self->session);
}

Transport *tls_new(int fd, TlsCreds *creds, const char *hostname, GError **errp)
{
    Tls *self = g_new0(Tls, 1);
    int rc;

    self->transport = (Transport){.class = &tls_class, .fd = fd};
    self->owed = g_byte_array_new();
    self->hostname = g_strdup(hostname);
    self->end = 1;
    rc = tls_init_session(self, creds);
    if (rc < 0) {
        transport_free(&self->transport);
        tls_error_set(errp, rc, "Cannot initialize TLS session");
        return NULL;
    }
    return &self->transport;
}
