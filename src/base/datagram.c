/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/datagram.h"

#include "base/address-unix.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

static bool datagram_resolve_inet(const Address *address, DatagramName *name,
                                  GError **errp)
{
    const char *host = address->host ? address->host : "";
    struct addrinfo hints = {.ai_family = address->family,
                             .ai_socktype = SOCK_DGRAM,
                             .ai_flags = AI_PASSIVE};
    struct addrinfo *list = NULL;

    if (!*host && !address->family) {
        hints.ai_family = AF_INET;
    }
    if (g_ascii_strtoull(address->port, NULL, 10) > UINT16_MAX ||
        getaddrinfo(*host ? host : NULL, address->port, &hints, &list)) {
        return tf_error_set(errp, "can't resolve host address '%s:%s'", host,
                            address->port);
    }
    memcpy(&name->storage, list->ai_addr, list->ai_addrlen);
    name->len = list->ai_addrlen;
    freeaddrinfo(list);
    return true;
}

bool datagram_resolve(const Address *address, DatagramName *name, GError **errp)
{
    struct sockaddr_un un;

    *name = (DatagramName){.len = 0};
    if (address->type == ADDRESS_INET) {
        return datagram_resolve_inet(address, name, errp);
    }
    if (!address_fill_unix(address, &un, &name->len, errp)) {
        return false;
    }
    memcpy(&name->storage, &un, sizeof(un));
    return true;
}

bool datagram_is_multicast(const DatagramName *name)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)&name->storage;

    return in->sin_family == AF_INET &&
           IN_MULTICAST(ntohl(in->sin_addr.s_addr));
}

static int datagram_open(const DatagramName *name, GError **errp)
{
    int fd = socket(name->storage.ss_family,
                    SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;

    if (fd < 0) {
        tf_error_set_errno(errp, errno, "can't create datagram socket");
    } else if (name->storage.ss_family != AF_UNIX) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    }
    return fd;
}

int datagram_bind(const Address *address, GError **errp)
{
    DatagramName name;
    int fd;

    if (!datagram_resolve(address, &name, errp)) {
        return -1;
    }
    if (address->type == ADDRESS_UNIX && !address->abstract) {
        address_remove_stale((const struct sockaddr_un *)&name.storage,
                             name.len);
    }
    fd = datagram_open(&name, errp);
    if (fd >= 0 &&
        bind(fd, (const struct sockaddr *)&name.storage, name.len) < 0) {
        tf_error_set_errno(errp, errno, "can't bind %s=%s to socket",
                           address->type == ADDRESS_UNIX ? "unix" : "ip",
                           address->type == ADDRESS_UNIX ? address->path
                                                         : address->host);
        close(fd);
        return -1;
    }
    return fd;
}

static bool datagram_set(int fd, int name, const void *value, socklen_t len,
                         const char *what, GError **errp)
{
    return setsockopt(fd, IPPROTO_IP, name, value, len) == 0 ||
           tf_error_set_errno(errp, errno, "can't set socket option %s", what);
}

static bool datagram_join_socket(int fd, const DatagramName *name,
                                 struct in_addr local, GError **errp)
{
    const struct sockaddr_in *group =
        (const struct sockaddr_in *)&name->storage;
    struct ip_mreq member = {.imr_multiaddr = group->sin_addr,
                             .imr_interface = local};
    int on = 1;

    if (bind(fd, (const struct sockaddr *)group, name->len) < 0) {
        return tf_error_set_errno(errp, errno,
                                  "can't bind the multicast address");
    }
    return datagram_set(fd, IP_ADD_MEMBERSHIP, &member, sizeof(member),
                        "IP_ADD_MEMBERSHIP", errp) &&
           datagram_set(fd, IP_MULTICAST_LOOP, &on, sizeof(on),
                        "IP_MULTICAST_LOOP", errp) &&
           (local.s_addr == htonl(INADDR_ANY) ||
            datagram_set(fd, IP_MULTICAST_IF, &local, sizeof(local),
                         "IP_MULTICAST_IF", errp));
}

int datagram_join(const DatagramName *name, const Address *local, GError **errp)
{
    const struct sockaddr_in *in;
    struct in_addr interface = {.s_addr = htonl(INADDR_ANY)};
    DatagramName local_name;
    int fd;

    if (local) {
        if (!datagram_resolve(local, &local_name, errp)) {
            return -1;
        }
        in = (const struct sockaddr_in *)&local_name.storage;
        if (in->sin_family != AF_INET) {
            tf_error_set(errp, "multicast needs an IPv4 address here, not '%s'",
                         local->host);
            return -1;
        }
        interface = in->sin_addr;
    }
    fd = datagram_open(name, errp);
    if (fd >= 0 && !datagram_join_socket(fd, name, interface, errp)) {
        close(fd);
        return -1;
    }
    return fd;
}

bool datagram_take_fd(int fd, GError **errp)
{
    int flags = fcntl(fd, F_GETFD);

    if (flags & FD_CLOEXEC) {
        /* Inherited descriptors are not close-on-exec: this one is in use
         * here. */
        return tf_error_set(errp, "File descriptor '%d' is in use", fd);
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    return true;
}
