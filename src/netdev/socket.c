/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The netdev `socket`, QEMU's older form of stream and dgram in one: frames
 * over an inherited socket (fd, stream or datagram), TCP (listen, connect),
 * UDP multicast (mcast) or UDP (udp with localaddr). Unlike stream it has no
 * events and does not connect again. Main thread only.
 */
#include "netdev/dgram-port.h"
#include "netdev/stream-port.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

typedef struct SocketNetdev {
    Netdev netdev;
    char *fd, *listen, *connect, *mcast, *udp, *localaddr;
    char *fixed_info; /* of a datagram socket */
    StreamPort stream;
    DgramPort dgram;
} SocketNetdev;

extern const NetdevClass netdev_socket_class;

/* Splits "host:port"; an IPv6 address may stand in brackets. */
static bool socket_parse(const char *text, Address *address, GError **errp)
{
    const char *colon = strrchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;
    bool brackets = len > 1 && text[0] == '[' && text[len - 1] == ']';

    if (!colon) {
        return tf_error_set(errp,
                            "host address '%s' doesn't contain ':' separating "
                            "host from port",
                            text);
    }
    *address = (Address){
        .type = ADDRESS_INET,
        .host = brackets ? g_strndup(text + 1, len - 2) : g_strndup(text, len),
        .port = g_strdup(colon + 1),
    };
    return true;
}

static bool socket_open_stream(SocketNetdev *self, Address *address,
                               bool server, GError **errp)
{
    ChardevSocketConfig config = {
        .name = self->netdev.object.id,
        .address = address,
        .server = server,
    };

    return stream_port_open(&self->stream, &self->netdev, &config, errp);
}

static bool socket_open_tcp(SocketNetdev *self, GError **errp)
{
    g_auto(Address) address = {.type = ADDRESS_INET};

    return socket_parse(self->listen ? self->listen : self->connect, &address,
                        errp) &&
           socket_open_stream(self, &address, self->listen != NULL, errp);
}

static bool socket_open_fd(SocketNetdev *self, GError **errp)
{
    g_auto(Address) address = {.type = ADDRESS_FD};
    int type = 0, domain = 0;
    socklen_t len = sizeof(type);
    guint64 fd;

    if (!g_ascii_string_to_unsigned(self->fd, 10, 0, INT_MAX, &fd, NULL)) {
        return tf_error_set(errp,
                            "File descriptor named '%s' has not been "
                            "found",
                            self->fd);
    }
    address.fd = (int)fd;
    if (fcntl(address.fd, F_GETFD) < 0) {
        return tf_error_set_errno(errp, errno,
                                  "%s: Can't use file descriptor %d",
                                  self->netdev.object.id, address.fd);
    }
    if (getsockopt(address.fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0) {
        return tf_error_set(errp, "can't get socket option SO_TYPE");
    }
    if (type != SOCK_DGRAM) {
        return socket_open_stream(self, &address, false, errp);
    }
    if (!datagram_take_fd(address.fd, errp)) {
        return false;
    }
    getsockopt(address.fd, SOL_SOCKET, SO_DOMAIN, &domain, &len);
    self->fixed_info = g_strdup_printf("fd=%d %s", address.fd,
                                       domain == AF_UNIX ? "unix" : "inet");
    dgram_port_open(&self->dgram, &self->netdev, address.fd, NULL, NULL);
    return true;
}

static bool socket_open_mcast(SocketNetdev *self, GError **errp)
{
    g_auto(Address) group = {.type = ADDRESS_INET};
    g_auto(Address) local = {.type = ADDRESS_INET};
    DatagramName name;
    int fd;

    if (!socket_parse(self->mcast, &group, errp) ||
        !datagram_resolve(&group, &name, errp)) {
        return false;
    }
    if (!datagram_is_multicast(&name)) {
        return tf_error_set(errp,
                            "specified mcastaddr %s does not contain a "
                            "multicast address",
                            group.host);
    }
    local.host = g_strdup(self->localaddr);
    local.port = g_strdup("0");
    fd = datagram_join(&name, self->localaddr ? &local : NULL, errp);
    if (fd < 0) {
        return false;
    }
    self->fixed_info = g_strdup_printf("mcast=%s:%s", group.host, group.port);
    dgram_port_open(&self->dgram, &self->netdev, fd, &name, NULL);
    return true;
}

static bool socket_open_udp(SocketNetdev *self, GError **errp)
{
    g_auto(Address) remote = {.type = ADDRESS_INET};
    g_auto(Address) local = {.type = ADDRESS_INET};
    DatagramName name;
    int fd;

    if (!self->localaddr) {
        return tf_error_set(errp, "localaddr= is mandatory with udp=");
    }
    if (!socket_parse(self->localaddr, &local, errp) ||
        !socket_parse(self->udp, &remote, errp) ||
        !datagram_resolve(&remote, &name, errp)) {
        return false;
    }
    fd = datagram_bind(&local, errp);
    if (fd < 0) {
        return false;
    }
    self->fixed_info = g_strdup_printf("udp=%s:%s", remote.host, remote.port);
    dgram_port_open(&self->dgram, &self->netdev, fd, &name, &local);
    return true;
}

static bool socket_open(Netdev *netdev, GError **errp)
{
    SocketNetdev *self = (SocketNetdev *)netdev;

    if (!!self->fd + !!self->listen + !!self->connect + !!self->mcast +
            !!self->udp !=
        1) {
        return tf_error_set(errp, "exactly one of listen=, connect=, mcast= "
                                  "or udp= is required");
    }
    if (self->localaddr && !self->mcast && !self->udp) {
        return tf_error_set(errp,
                            "localaddr= is only valid with mcast= or udp=");
    }
    return self->fd      ? socket_open_fd(self, errp)
           : self->mcast ? socket_open_mcast(self, errp)
           : self->udp   ? socket_open_udp(self, errp)
                         : socket_open_tcp(self, errp);
}

static void socket_close(Netdev *netdev)
{
    SocketNetdev *self = (SocketNetdev *)netdev;

    stream_port_close(&self->stream);
    dgram_port_close(&self->dgram);
    g_clear_pointer(&self->fixed_info, g_free);
}

static void socket_deliver(Netdev *netdev, Direction direction,
                           const Packet *packet)
{
    SocketNetdev *self = (SocketNetdev *)netdev;

    if (self->stream.chardev) {
        stream_port_send(&self->stream, packet);
    } else {
        dgram_port_send(&self->dgram, packet);
    }
}

static void socket_flush(Netdev *netdev)
{
    SocketNetdev *self = (SocketNetdev *)netdev;

    if (self->stream.chardev) {
        stream_port_flush(&self->stream);
    }
}

/* As QEMU words it; there is nothing to say without a peer. */
static char *socket_info(const Netdev *netdev)
{
    const SocketNetdev *self = (const SocketNetdev *)netdev;
    g_auto(Address) peer = {.type = ADDRESS_FD};
    g_autofree char *name = NULL;

    if (self->fixed_info) {
        return g_strdup_printf("type=socket,socket: %s", self->fixed_info);
    }
    if (!self->stream.chardev->connected) {
        return g_strdup("type=socket,");
    }
    if (self->fd) {
        return g_strdup_printf("type=socket,socket: fd=%s", self->fd);
    }
    stream_port_peer(&self->stream, &peer);
    name = address_name(&peer);
    return g_strdup_printf("type=socket,socket: %s %s",
                           self->listen ? "connection from" : "connect to",
                           name);
}

#define SOCKET_ROW(field, text)                                                \
    {                                                                          \
        .name = #field, PROP_FIELD_STRING(SocketNetdev, field),                \
        .flags = PROP_FIXED, .since = "0.1", .doc = (text)                     \
    }

static const Property socket_props[] = {
    SOCKET_ROW(fd, "number of an inherited stream or datagram socket"),
    SOCKET_ROW(listen, "HOST:PORT to listen at for a TCP connection"),
    SOCKET_ROW(connect, "HOST:PORT to connect to with TCP"),
    SOCKET_ROW(mcast, "GROUP:PORT of an UDP multicast group"),
    SOCKET_ROW(localaddr, "HOST of the interface for mcast, or the HOST:PORT "
                          "that udp is bound to"),
    SOCKET_ROW(udp, "HOST:PORT that UDP datagrams are sent to"),
    PROP_END,
};

const NetdevClass netdev_socket_class = {
    .object =
        {
            .name = "socket",
            .parent = &netdev_class,
            .kind = OBJECT_KIND_NETDEV,
            .size = sizeof(SocketNetdev),
            .props = socket_props,
            .doc = "frames over TCP, UDP, multicast or an inherited socket",
        },
    .open = socket_open,
    .close = socket_close,
    .deliver = socket_deliver,
    .flush = socket_flush,
    .info = socket_info,
};
