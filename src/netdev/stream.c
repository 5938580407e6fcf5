/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The netdev `stream`: frames over TCP, a unix socket or an inherited stream
 * socket, as QEMU's `-netdev stream`. A server takes one peer at a time and
 * listens again when it has left; a client connects again if reconnect-ms
 * says so.
 *
 * Other than QEMU 7.2, a server that can not listen is an error, not a netdev
 * that never works. Main thread only.
 */
#include "base/event.h"
#include "netdev/netdev-address.h"
#include "netdev/stream-port.h"

typedef struct Stream {
    Netdev netdev;
    NetdevAddress addr;
    bool server;
    uint32_t reconnect_ms;
    bool reconnect_given;
    StreamPort port;
} Stream;

extern const NetdevClass netdev_stream_class;

static void stream_changed(Netdev *netdev)
{
    Stream *self = (Stream *)netdev;
    json_t *data = json_pack("{s:s}", "netdev-id", netdev->object.id);
    g_auto(Address) peer = {.type = ADDRESS_FD};

    if (!self->port.chardev->connected) {
        event_emit("NETDEV_STREAM_DISCONNECTED", data);
        return;
    }
    stream_port_peer(&self->port, &peer);
    json_object_set_new(data, "addr", netdev_address_to_json(&peer));
    event_emit("NETDEV_STREAM_CONNECTED", data);
}

static bool stream_open(Netdev *netdev, GError **errp)
{
    Stream *self = (Stream *)netdev;
    g_auto(Address) address = {.type = ADDRESS_INET};
    ChardevSocketConfig config = {
        .name = netdev->object.id,
        .address = &address,
        .server = self->server,
        .reconnect_ms = self->reconnect_ms,
    };

    if (!netdev_address_read(&self->addr, "addr", &address, errp)) {
        return false;
    }
    if (self->reconnect_given && (self->server || self->addr.str)) {
        return tf_error_set(
            errp, self->server ? "'reconnect-ms' option is incompatible with "
                                 "socket in server listen mode"
                               : "'reconnect-ms' option is incompatible with "
                                 "'fd' address type");
    }
    self->port.changed = stream_changed;
    return stream_port_open(&self->port, netdev, &config, errp);
}

static void stream_close(Netdev *netdev)
{
    stream_port_close(&((Stream *)netdev)->port);
}

static void stream_deliver(Netdev *netdev, Direction direction,
                           const Packet *packet)
{
    stream_port_send(&((Stream *)netdev)->port, packet);
}

static void stream_flush(Netdev *netdev)
{
    stream_port_flush(&((Stream *)netdev)->port);
}

/* As QEMU 7.2 words it: an IPv6 address has no brackets, and there is nothing
 * to say of one that waits for a peer. */
static char *stream_info(const Netdev *netdev)
{
    const Stream *self = (const Stream *)netdev;
    g_auto(Address) peer = {.type = ADDRESS_FD};

    if (!stream_port_peer(&self->port, &peer)) {
        return g_strdup(chardev_socket_failed(self->port.chardev)
                            ? "type=stream,connection error"
                            : "type=stream,");
    }
    if (peer.type == ADDRESS_INET) {
        return g_strdup_printf("type=stream,tcp:%s:%s", peer.host, peer.port);
    }
    return g_strdup_printf("type=stream,unix:%s", peer.path);
}

static const Property stream_props[] = {
    NETDEV_ADDRESS_ROWS(Stream, addr, "addr", "where to connect or listen"),
    {.name = "server",
     PROP_FIELD_BOOL(Stream, server),
     .flags = PROP_FIXED,
     .def = "off",
     .since = "0.1",
     .doc = "listen instead of connecting"},
    {.name = "reconnect-ms",
     PROP_FIELD_UINT32(Stream, reconnect_ms),
     PROP_GIVEN(Stream, reconnect_given),
     .flags = PROP_FIXED,
     .since = "0.1",
     .doc = "a client connects again after so many milliseconds; 0: never"},
    PROP_END,
};

const NetdevClass netdev_stream_class = {
    .object =
        {
            .name = "stream",
            .parent = &netdev_class,
            .kind = OBJECT_KIND_NETDEV,
            .size = sizeof(Stream),
            .props = stream_props,
            .doc = "frames over TCP, a unix socket or an inherited stream",
        },
    .open = stream_open,
    .close = stream_close,
    .deliver = stream_deliver,
    .flush = stream_flush,
    .info = stream_info,
};
