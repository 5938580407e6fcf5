/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The socket chardev: TCP, unix or inherited, as a client that connects and
 * connects again, or as a server for one peer at a time; whoever comes while
 * one is there waits in the kernel's backlog.
 *
 * A handler may delete the chardev, so a call into the frontend is the last
 * thing that a function does: a round of the loop makes one call at most, and
 * what else is ready comes back with the next (epoll is level-triggered).
 */
#include "chardev/socket.h"

#include "chardev/socket-connection.h"
#include "chardev/tls.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* Next attempt to accept, when out of descriptors or memory. */
#define SOCKET_ACCEPT_RETRY_US 500000
/* Timeout of a silent peer, for which a server's next peer has to wait
 * (Chardev.renewable). */
#define SOCKET_PATIENCE_S 5

static void socket_listen_on(ChardevSocket *self);
static void socket_connect_later(ChardevSocket *self);
static void socket_update(Chardev *chardev);
static void socket_greeting_failed(void *opaque, Transport *transport,
                                   const char *why);

/* @transport, now owned, is the connection to the peer. */
static void socket_start(void *opaque, Transport *transport)
{
    ChardevSocket *self = opaque;

    loop_watch_remove(&self->listen_watch);
    greetings_clear(self->greetings);
    g_clear_pointer(&self->failure, g_free);
    self->failed = false;
    self->transport = transport;
    self->eof = self->deaf = self->impatient = false;
    log_debug("chardev", "%s: peer connected", self->chardev.object.id);
    chardev_set_connected(&self->chardev, true);
}

/* The name that a TLS server has to have; NULL: we are the server. */
static const char *socket_hostname(const ChardevSocket *self)
{
    const char *host = self->address.host;

    if (self->server) {
        return NULL;
    }
    return host && *host ? host : "localhost";
}

/* @fd is connected: starts its handshake. */
static void socket_greet(ChardevSocket *self, int fd)
{
    g_autoptr(GError) error = NULL;
    Transport *transport;
    int off = 0;

    if (!self->nodelay) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &off, sizeof(off));
    }
    if (!self->creds) {
        greetings_add(self->greetings, transport_new_plain(fd));
        return;
    }
    transport = tls_new(fd, self->creds, socket_hostname(self), &error);
    if (transport) {
        greetings_add(self->greetings, transport);
    } else {
        socket_greeting_failed(self, NULL, error->message);
    }
}

static void socket_close_connection(ChardevSocket *self)
{
    loop_watch_remove(&self->watch);
    loop_timer_cancel(&self->turn);
    g_clear_pointer(&self->transport, transport_free);
}

/* The connection is over. */
static void socket_stop(ChardevSocket *self)
{
    const char *failure = transport_failure(self->transport);

    if (failure && log_limit_pass(&self->peer_limit)) {
        log_warning("chardev", "%s: TLS connection ended: %s",
                    self->chardev.object.id, failure);
    }
    log_debug("chardev", "%s: peer gone", self->chardev.object.id);
    socket_close_connection(self);
    if (self->listen_fd >= 0) {
        socket_listen_on(self);
    } else {
        socket_connect_later(self);
    }
    chardev_set_connected(&self->chardev, false);
}

static void socket_disconnect(Chardev *chardev)
{
    socket_stop((ChardevSocket *)chardev);
}

static bool socket_has_unread(const ChardevSocket *self)
{
    char byte;

    return transport_pending(self->transport) ||
           recv(self->transport->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* The peer has closed its end (EPOLLRDHUP: at least its sending half), and the
 * frontend is not reading. Bytes still unread have to reach the frontend first:
 * until it wants to read, only events that can still happen are watched; then a
 * read returns the end of the stream, or this is called again. */
static void socket_peer_ended(ChardevSocket *self, uint32_t events)
{
    const Chardev *chardev = &self->chardev;
    bool broken = events & (EPOLLHUP | EPOLLERR);
    bool never_reads = chardev->handlers && !chardev->handlers->readable;
    bool unread = socket_has_unread(self);
    /* A peer that has sent everything may still wait for replies. */
    bool writing = chardev->want_write || transport_owes(self->transport);
    bool answering = writing && !broken;

    if (never_reads || !(unread || answering) || (broken && writing)) {
        socket_stop(self);
        return;
    }
    if (broken) {
        /* EPOLLHUP can't be masked. */
        loop_watch_remove(&self->watch);
    } else {
        loop_watch_modify(&self->watch, writing ? EPOLLOUT : 0);
    }
    if (chardev->renewable && self->listen_fd >= 0) {
        socket_listen_on(self);
    }
}

static void socket_event(void *opaque, uint32_t events)
{
    ChardevSocket *self = opaque;
    Chardev *chardev = &self->chardev;
    bool ended = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
    bool broken = events & (EPOLLHUP | EPOLLERR);
    bool readable = chardev->want_read && (ended || (events & EPOLLIN));
    bool writable;

    if (transport_owes(self->transport)) {
        transport_flush(self->transport);
        socket_update(chardev);
    }
    writable = chardev->want_write && (events & EPOLLOUT) &&
               (chardev->want_read || !broken) &&
               !transport_owes(self->transport);
    if (self->eof) {
        socket_stop(self);
    } else if (readable && !(writable && self->write_first)) {
        self->write_first = true;
        chardev->handlers->readable(chardev->opaque);
    } else if (writable) {
        self->write_first = false;
        chardev->handlers->writable(chardev->opaque);
    } else if (ended) {
        socket_peer_ended(self, events);
    }
}

/* Is there something to send to a peer that has closed its receiving half? */
static bool socket_is_cut(const ChardevSocket *self)
{
    return self->deaf && self->chardev.want_write;
}

static void socket_turn(void *opaque)
{
    ChardevSocket *self = opaque;
    Chardev *chardev = &self->chardev;
    bool cut = socket_is_cut(self);

    if (self->eof ||
        (cut && !(chardev->want_read && socket_has_unread(self)))) {
        socket_stop(self);
    } else if (chardev->want_read &&
               (cut || transport_pending(self->transport))) {
        socket_update(chardev); /* another turn, until all is read */
        chardev->handlers->readable(chardev->opaque);
    }
}

static void socket_set_patience(ChardevSocket *self)
{
    bool impatient = self->chardev.renewable && self->listen_fd >= 0;

    if (impatient != self->impatient) {
        address_set_patience(self->transport->fd,
                             impatient ? SOCKET_PATIENCE_S : 0);
        self->impatient = impatient;
    }
}

/* Watches for what the frontend wants; schedules a read of buffered bytes. */
static void socket_update(Chardev *chardev)
{
    ChardevSocket *self = (ChardevSocket *)chardev;
    uint32_t events = EPOLLRDHUP;

    if (!chardev->connected) {
        return;
    }
    socket_set_patience(self);
    events |= chardev->want_read ? EPOLLIN : 0;
    events |=
        (chardev->want_write && !self->deaf) || transport_owes(self->transport)
            ? EPOLLOUT
            : 0;
    if (self->watch.fd < 0) {
        loop_watch_add(&self->watch, self->transport->fd, events, socket_event,
                       self);
    } else {
        loop_watch_modify(&self->watch, events);
    }
    if (self->eof || socket_is_cut(self) ||
        (chardev->want_read && transport_pending(self->transport))) {
        loop_timer_set(&self->turn, 0);
    }
}

static ssize_t socket_read(Chardev *chardev, void *buffer, size_t size)
{
    ChardevSocket *self = (ChardevSocket *)chardev;
    ssize_t n = transport_read(self->transport, buffer, size);

    if (n == 0 || (n < 0 && n != -EAGAIN)) {
        self->eof = true; /* reported from the loop, not from within a call */
        socket_update(chardev);
    } else if (transport_pending(self->transport) ||
               transport_owes(self->transport)) {
        socket_update(chardev);
    }
    return n;
}

static ssize_t socket_writev(Chardev *chardev, const struct iovec *iov, int n)
{
    ChardevSocket *self = (ChardevSocket *)chardev;
    ssize_t written = transport_writev(self->transport, iov, n);
    bool failed = written < 0 && transport_failure(self->transport);

    if (failed || written == -EPIPE || transport_owes(self->transport)) {
        self->eof = self->eof || failed;
        self->deaf = self->deaf || written == -EPIPE;
        socket_update(chardev);
    }
    return written;
}

/* Logs @message unless it was the last one logged: one line per outage, however
 * often the connection is tried. */
static void socket_report(ChardevSocket *self, const char *message)
{
    self->failed = true;
    if (g_strcmp0(self->failure, message) != 0 &&
        log_limit_pass(&self->failure_limit)) {
        log_warning("chardev", "Unable to connect %s %s: %s",
                    self->background ? "netdev" : "character device",
                    self->chardev.object.id, message);
        g_free(self->failure);
        self->failure = g_strdup(message);
    }
}

/* The handshake of a connection has failed. */
static void socket_greeting_failed(void *opaque, Transport *transport,
                                   const char *why)
{
    ChardevSocket *self = opaque;
    g_auto(Address) peer = {.type = ADDRESS_FD};
    g_autofree char *text = NULL;
    g_autofree char *name = NULL;

    if (!self->server) {
        text = g_strdup_printf("TLS handshake failed: %s", why);
        socket_report(self, text);
        socket_connect_later(self);
    } else if (log_limit_pass(&self->peer_limit)) {
        if (transport) {
            address_of_socket(transport->fd, true, &peer);
        }
        name = address_to_string(&peer);
        log_warning("chardev", "%s: TLS handshake with %s failed: %s",
                    self->chardev.object.id, name, why);
    }
}

static void socket_connected(void *opaque, int fd, const char *why)
{
    ChardevSocket *self = opaque;

    if (fd < 0) {
        socket_report(self, why);
        socket_connect_later(self);
        return;
    }
    socket_greet(self, fd);
}

static void socket_connect_later(ChardevSocket *self)
{
    if (self->reconnect_ms > 0) {
        loop_timer_set(&self->timer, (uint64_t)self->reconnect_ms * 1000);
    }
}

static void socket_accept_event(void *opaque, uint32_t events)
{
    ChardevSocket *self = opaque;
    int fd;

    if (self->transport) {
        socket_stop(self); /* the next peer is here: see Chardev.renewable */
        return;
    }
    fd = address_accept(self->listen_fd);
    if (fd >= 0) {
        socket_greet(self, fd);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
               errno == ENOMEM) {
        socket_report(self, g_strerror(errno));
        loop_watch_remove(&self->listen_watch);
        loop_timer_set(&self->timer, SOCKET_ACCEPT_RETRY_US);
    }
}

static void socket_listen_on(ChardevSocket *self)
{
    if (self->listen_watch.fd < 0) {
        loop_watch_add(&self->listen_watch, self->listen_fd, EPOLLIN,
                       socket_accept_event, self);
    }
}

/* The next attempt to accept, or to connect. */
static void socket_again(void *opaque)
{
    ChardevSocket *self = opaque;

    if (self->server) {
        socket_listen_on(self);
    } else {
        connector_start(&self->connector);
    }
}

/* Blocks for the first peer. A signal ends the wait. */
static bool socket_wait(ChardevSocket *self, GError **errp)
{
    g_autofree char *name = chardev_filename(&self->chardev);
    struct pollfd pollfd = {.fd = self->listen_fd, .events = POLLIN};
    int fd;

    log_info("chardev", "waiting for connection on: %s", name);
    do {
        fd = poll(&pollfd, 1, -1) > 0 ? address_accept(self->listen_fd) : -1;
    } while (fd < 0 && (errno == EAGAIN || errno == ECONNABORTED));
    if (fd < 0) {
        return tf_error_set_errno(errp, errno, "no connection on %s", name);
    }
    socket_greet(self, fd);
    return true;
}

static bool socket_open_server(ChardevSocket *self, GError **errp)
{
    self->listen_fd = address_listen(&self->address, errp);
    if (self->listen_fd < 0) {
        return false;
    }
    if (self->wait && !socket_wait(self, errp)) {
        return false;
    }
    if (!self->transport) {
        socket_listen_on(self);
    }
    return true;
}

static bool socket_open_client(ChardevSocket *self, GError **errp)
{
    int fd;

    if (self->reconnect_ms > 0 ||
        (self->background && self->address.type != ADDRESS_FD)) {
        connector_start(&self->connector);
        return true;
    }
    fd = address_connect_sync(&self->address, ADDRESS_CONNECT_TIMEOUT_MS, errp);
    if (fd < 0) {
        return false;
    }
    socket_greet(self, fd);
    return true;
}

static const GreetingHandlers socket_greeting_handlers = {
    .ready = socket_start,
    .failed = socket_greeting_failed,
};

static void socket_init(ChardevSocket *self)
{
    self->opened = true;
    connector_init(&self->connector, &self->address, socket_connected, self);
    self->listen_fd = -1;
    self->greetings = greetings_new(&socket_greeting_handlers, self);
    self->watch = LOOP_WATCH_INIT;
    self->listen_watch = LOOP_WATCH_INIT;
    loop_timer_open(&self->turn, socket_turn, self);
    loop_timer_open(&self->timer, socket_again, self);
}

static bool socket_begin(ChardevSocket *self, GError **errp)
{
    return self->server ? socket_open_server(self, errp)
                        : socket_open_client(self, errp);
}

static bool socket_open(Chardev *chardev, GError **errp)
{
    ChardevSocket *self = (ChardevSocket *)chardev;

    socket_init(self);
    return chardev_socket_prepare(self, errp) && socket_begin(self, errp);
}

static void socket_close(Chardev *chardev)
{
    ChardevSocket *self = (ChardevSocket *)chardev;

    if (!self->opened) {
        return;
    }
    loop_timer_close(&self->timer);
    socket_close_connection(self);
    connector_stop(&self->connector);
    g_clear_pointer(&self->greetings, greetings_free);
    loop_watch_remove(&self->listen_watch);
    if (self->listen_fd >= 0) {
        address_listen_close(&self->address, self->listen_fd);
    }
    address_clear(&self->address);
    g_clear_pointer(&self->failure, g_free);
    if (self->creds) {
        self->creds->object.users--;
    }
}

static void socket_move(Chardev *chardev)
{
    ChardevSocket *self = (ChardevSocket *)chardev;

    connector_move(&self->connector);
    loop_watch_move(&self->watch);
    loop_watch_move(&self->listen_watch);
    loop_timer_move(&self->turn);
    loop_timer_move(&self->timer);
    greetings_move(self->greetings);
}

static char *socket_filename(const Chardev *chardev)
{
    const ChardevSocket *self = (const ChardevSocket *)chardev;
    const char *mode = self->server ? ",server=on" : "";
    g_auto(Address) local = {.type = ADDRESS_FD};
    g_auto(Address) peer = {.type = ADDRESS_FD};
    g_autofree char *local_name = NULL;
    g_autofree char *peer_name = NULL;

    if (!chardev->connected) {
        /* The address that a server listens on, with the port that 0 stands
         * for. */
        local_name = self->listen_fd >= 0 &&
                             address_of_socket(self->listen_fd, false, &local)
                         ? address_to_string(&local)
                         : address_to_string(&self->address);
        return g_strdup_printf("disconnected:%s%s", local_name, mode);
    }
    address_of_socket(self->transport->fd, false, &local);
    address_of_socket(self->transport->fd, true, &peer);
    local_name = address_to_string(&local);
    peer_name = address_to_string(&peer);
    if (local.type == ADDRESS_INET && peer.type == ADDRESS_INET) {
        return g_strdup_printf("%s%s <-> %s", local_name, mode,
                               peer_name + strlen("tcp:"));
    }
    /* A unix client has no name of its own. */
    return g_strconcat(peer.path && *peer.path ? peer_name : local_name, mode,
                       NULL);
}

const ChardevClass chardev_socket_class = {
    .object =
        {
            .name = "socket",
            .parent = &chardev_class,
            .kind = OBJECT_KIND_CHARDEV,
            .size = sizeof(ChardevSocket),
            .props = chardev_socket_props,
            .doc = "A TCP, unix or inherited stream socket.",
        },
    .check = chardev_socket_check,
    .open = socket_open,
    .close = socket_close,
    .read = socket_read,
    .writev = socket_writev,
    .update = socket_update,
    .move = socket_move,
    .disconnect = socket_disconnect,
    .filename = socket_filename,
    .duplex = true,
};

/* One that a netdev owns */

Chardev *chardev_socket_new(const ChardevSocketConfig *config, GError **errp)
{
    ChardevSocket *self = g_new0(ChardevSocket, 1);

    self->chardev.object.class = &chardev_socket_class.object;
    self->chardev.object.id = g_strdup(config->name);
    self->address = *config->address;
    *config->address = (Address){.type = ADDRESS_INET};
    self->server = config->server;
    self->nodelay = true;
    self->reconnect_ms = config->reconnect_ms;
    self->background = true;
    socket_init(self);
    if (!socket_begin(self, errp)) {
        object_destroy(&self->chardev.object);
        return NULL;
    }
    return &self->chardev;
}

bool chardev_socket_failed(const Chardev *chardev)
{
    return ((const ChardevSocket *)chardev)->failed;
}

bool chardev_socket_peer(const Chardev *chardev, Address *address)
{
    const ChardevSocket *self = (const ChardevSocket *)chardev;
    bool known = address_of_socket(self->transport->fd, true, address);

    if (known && address->type == ADDRESS_UNIX && !*address->path) {
        address_clear(address);
        known = address_of_socket(self->transport->fd, false, address);
    }
    return known;
}
