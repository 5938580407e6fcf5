/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The netdev `dgram`: one frame a datagram, over UDP, UDP multicast, a unix
 * datagram socket or an inherited socket, as QEMU's `-netdev dgram`: remote is
 * where frames go, local where they come from. As there, what is sent to a
 * multicast group comes back. Main thread only.
 */
#include "netdev/dgram-port.h"
#include "netdev/netdev-address.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

typedef struct Dgram {
    Netdev netdev;
    NetdevAddress local, remote;
    char *info;
    DgramPort port;
} Dgram;

extern const NetdevClass netdev_dgram_class;

static bool dgram_open_fd(Dgram *self, const Address *local, GError **errp)
{
    int type = 0, domain = 0;
    socklen_t len = sizeof(type);

    if (netdev_address_is_given(&self->remote)) {
        return tf_error_set(errp, "don't set remote with local.fd");
    }
    if (fcntl(local->fd, F_GETFD) < 0) {
        return tf_error_set_errno(errp, errno,
                                  "%s: Can't use file descriptor %d",
                                  self->netdev.object.id, local->fd);
    }
    if (getsockopt(local->fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
        type != SOCK_DGRAM) {
        return tf_error_set(
            errp, "File descriptor '%d' is not a datagram socket", local->fd);
    }
    if (!datagram_take_fd(local->fd, errp)) {
        return false;
    }
    getsockopt(local->fd, SOL_SOCKET, SO_DOMAIN, &domain, &len);
    self->info = g_strdup_printf("fd=%d %s", local->fd,
                                 domain == AF_UNIX ? "unix" : "inet");
    dgram_port_open(&self->port, &self->netdev, local->fd, NULL, NULL);
    return true;
}

/* @local may be NULL: the system chooses the interface. */
static bool dgram_open_group(Dgram *self, const Address *local,
                             const DatagramName *name, GError **errp)
{
    int fd;

    if (local && local->type != ADDRESS_INET) {
        return tf_error_set(errp, "local of a multicast group must be of type "
                                  "inet");
    }
    fd = datagram_join(name, local, errp);
    if (fd < 0) {
        return false;
    }
    self->info =
        g_strdup_printf("mcast=%s:%s", self->remote.host, self->remote.port);
    dgram_port_open(&self->port, &self->netdev, fd, name, NULL);
    return true;
}

static bool dgram_open_pair(Dgram *self, Address *local,
                            const DatagramName *name, GError **errp)
{
    bool inet = local->type == ADDRESS_INET;
    int fd = datagram_bind(local, errp);

    if (fd < 0) {
        return false;
    }
    self->info =
        inet ? g_strdup_printf("udp=%s:%s/%s:%s", local->host, local->port,
                               self->remote.host, self->remote.port)
             : g_strdup_printf("udp=%s:%s", local->path, self->remote.path);
    dgram_port_open(&self->port, &self->netdev, fd, name, local);
    return true;
}

static bool dgram_open_remote(Dgram *self, Address *local, GError **errp)
{
    g_auto(Address) remote = {.type = ADDRESS_FD};
    DatagramName name;

    if (!netdev_address_read(&self->remote, "remote", &remote, errp)) {
        return false;
    }
    if (local && local->type != remote.type) {
        return tf_error_set(errp, "remote and local types must be the same");
    }
    if (remote.type == ADDRESS_FD) {
        return local ? tf_error_set(errp, "remote can not be of type fd")
                     : tf_error_set(errp, "dgram requires local= parameter");
    }
    if (!datagram_resolve(&remote, &name, errp)) {
        return false;
    }
    if (datagram_is_multicast(&name)) {
        return dgram_open_group(self, local, &name, errp);
    }
    return local ? dgram_open_pair(self, local, &name, errp)
                 : tf_error_set(errp, "dgram requires local= parameter");
}

static bool dgram_open(Netdev *netdev, GError **errp)
{
    Dgram *self = (Dgram *)netdev;
    g_auto(Address) local = {.type = ADDRESS_FD};

    if (!netdev_address_is_given(&self->local)) {
        return netdev_address_is_given(&self->remote)
                   ? dgram_open_remote(self, NULL, errp)
                   : tf_error_set(errp, "dgram requires local= parameter");
    }
    if (!netdev_address_read(&self->local, "local", &local, errp)) {
        return false;
    }
    if (local.type == ADDRESS_FD) {
        return dgram_open_fd(self, &local, errp);
    }
    return netdev_address_is_given(&self->remote)
               ? dgram_open_remote(self, &local, errp)
               : tf_error_set(errp, "type=inet or type=unix requires remote "
                                    "parameter");
}

static void dgram_close(Netdev *netdev)
{
    Dgram *self = (Dgram *)netdev;

    dgram_port_close(&self->port);
    g_clear_pointer(&self->info, g_free);
}

static void dgram_deliver(Netdev *netdev, Direction direction,
                          const Packet *packet)
{
    dgram_port_send(&((Dgram *)netdev)->port, packet);
}

static char *dgram_info(const Netdev *netdev)
{
    return g_strdup_printf("type=dgram,%s", ((const Dgram *)netdev)->info);
}

static const Property dgram_props[] = {
    NETDEV_ADDRESS_ROWS(Dgram, local, "local", "where frames come from"),
    NETDEV_ADDRESS_ROWS(Dgram, remote, "remote", "where frames go"),
    PROP_END,
};

const NetdevClass netdev_dgram_class = {
    .object =
        {
            .name = "dgram",
            .parent = &netdev_class,
            .kind = OBJECT_KIND_NETDEV,
            .size = sizeof(Dgram),
            .props = dgram_props,
            .doc = "frames over UDP, multicast, a unix or an inherited socket",
        },
    .open = dgram_open,
    .close = dgram_close,
    .deliver = dgram_deliver,
    .info = dgram_info,
};
