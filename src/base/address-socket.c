/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/address.h"

#include "base/address-unix.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ADDRESS_BACKLOG 16
#define ADDRESS_PORT_MAX 65535

/* A silent peer times out after a minute (a server's next peer has to wait for
 * that); the kernel's default is two hours. */
#define ADDRESS_KEEPALIVE_IDLE_S 30
#define ADDRESS_KEEPALIVE_INTERVAL_S 10
#define ADDRESS_KEEPALIVE_PROBES 3

typedef struct addrinfo AddressInfo;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AddressInfo, freeaddrinfo)

/* Room for any socket address. */
typedef union SocketName {
    struct sockaddr any;
    struct sockaddr_un un;
    struct sockaddr_storage storage;
} SocketName;

static void address_from_unix(const struct sockaddr_un *un, socklen_t len,
                              Address *address)
{
    size_t n = len - offsetof(struct sockaddr_un, sun_path);

    address->type = ADDRESS_UNIX;
    address->abstract = n > 0 && un->sun_path[0] == '\0';
    address->padded = address->abstract && len == sizeof(*un);
    address->path = address->abstract ? g_strndup(un->sun_path + 1, n - 1)
                                      : g_strndup(un->sun_path, n);
}

bool address_of_socket(int fd, bool peer, Address *address)
{
    SocketName name = {.any.sa_family = AF_UNSPEC};
    socklen_t len = sizeof(name);
    char host[NI_MAXHOST], port[NI_MAXSERV];

    *address = (Address){.type = ADDRESS_FD, .fd = fd};
    if ((peer ? getpeername(fd, &name.any, &len)
              : getsockname(fd, &name.any, &len)) < 0) {
        return false;
    }
    if (name.any.sa_family == AF_UNIX) {
        address_from_unix(&name.un, len, address);
        return true;
    }
    if (getnameinfo(&name.any, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV)) {
        return false;
    }
    address->type = ADDRESS_INET;
    address->host = g_strdup(host);
    address->port = g_strdup(port);
    return true;
}

bool address_fill_unix(const Address *address, struct sockaddr_un *un,
                       socklen_t *len, GError **errp)
{
    size_t n = address->path ? strlen(address->path) : 0;
    size_t skip = address->abstract ? 1 : 0;

    *un = (struct sockaddr_un){.sun_family = AF_UNIX};
    *len = sizeof(*un);
    if (n == 0) {
        return tf_error_set(errp, "UNIX socket path is empty");
    }
    if (n >= sizeof(un->sun_path)) {
        return tf_error_set(errp, "UNIX socket path '%s' is too long",
                            address->path);
    }
    memcpy(un->sun_path + skip, address->path, n);
    /* The length of an abstract name is that of the address; a path ends at its
     * NUL (unix(7)). */
    if (address->abstract && !address->padded) {
        *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n);
    }
    return true;
}

/* Removes a socket file whose socket is closed. connect(2) of a datagram socket
 * tells, without disturbing a living stream server: that is EPROTOTYPE, a stale
 * file ECONNREFUSED. */
void address_remove_stale(const struct sockaddr_un *un, socklen_t len)
{
    struct stat status;
    int fd;

    if (lstat(un->sun_path, &status) < 0 || !S_ISSOCK(status.st_mode)) {
        return;
    }
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return;
    }
    if (connect(fd, (const struct sockaddr *)un, len) < 0 &&
        errno == ECONNREFUSED) {
        unlink(un->sun_path);
    }
    close(fd);
}

/* Resolves @address; NULL and an error if that fails. */
static AddressInfo *address_find(const Address *address, int flags,
                                 GError **errp)
{
    const char *host = address->host && *address->host ? address->host : NULL;
    AddressInfo hints = {.ai_flags = flags,
                         .ai_family = address->family,
                         .ai_socktype = SOCK_STREAM};
    AddressInfo *list = NULL;
    g_autofree char *name = address_name(address);
    int rc;

    /* getaddrinfo() silently uses the low 16 bits of any number. */
    if (address->port &&
        g_ascii_strtoull(address->port, NULL, 10) > ADDRESS_PORT_MAX) {
        tf_error_set(errp, "port '%s' is above %d", address->port,
                     ADDRESS_PORT_MAX);
        return NULL;
    }
    rc = getaddrinfo(host, address->port, &hints, &list);
    if (rc) {
        tf_error_set(errp, "address resolution failed for %s: %s", name,
                     rc == EAI_SYSTEM ? g_strerror(errno) : gai_strerror(rc));
        return NULL;
    }
    return list;
}

static void address_set_option(int fd, int level, int name, int value)
{
    setsockopt(fd, level, name, &value, sizeof(value));
}

void address_set_patience(int fd, unsigned seconds)
{
    bool usual = seconds == 0;

    address_set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE,
                       usual ? ADDRESS_KEEPALIVE_IDLE_S
                             : (int)MAX(seconds / 2, 1));
    address_set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL,
                       usual ? ADDRESS_KEEPALIVE_INTERVAL_S
                             : (int)MAX(seconds / 5, 1));
    address_set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)seconds * 1000);
}

/* No effect on sockets that are not TCP. */
static void address_tune(int fd)
{
    address_set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    address_set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    address_set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, ADDRESS_KEEPALIVE_PROBES);
    address_set_patience(fd, 0);
}

static void address_set_nonblocking(int fd)
{
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

/* Takes ownership of the inherited descriptor of @address. Inherited
 * descriptors are not close-on-exec: one that is, is already in use here, and
 * would be closed by both owners. */
static int address_take_fd(const Address *address, GError **errp)
{
    int fd = address->fd;
    int type;
    socklen_t len = sizeof(type);

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0) {
        tf_error_set(errp, "File descriptor '%d' is not a socket", fd);
        return -1;
    }
    if (type != SOCK_STREAM) {
        tf_error_set(errp, "File descriptor '%d' is not a stream socket", fd);
        return -1;
    }
    if (fcntl(fd, F_GETFD) & FD_CLOEXEC) {
        tf_error_set(errp, "File descriptor '%d' is in use", fd);
        return -1;
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    address_set_nonblocking(fd);
    address_tune(fd);
    return fd;
}

static bool address_fd_listens(int fd)
{
    int on = 0;
    socklen_t len = sizeof(on);

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) == 0 && on;
}

static int address_listen_fd(const Address *address, GError **errp)
{
    int fd = address_take_fd(address, errp);

    if (fd >= 0 && !address_fd_listens(fd) && listen(fd, ADDRESS_BACKLOG) < 0) {
        tf_error_set_errno(errp, errno, "Failed to listen on fd socket");
        close(fd);
        return -1;
    }
    return fd;
}

/* A socket that listens at @name, or -errno. @v6only: the IPv6 wildcard does
 * not include IPv4. */
static int address_bind(const struct sockaddr *name, socklen_t len, bool v6only)
{
    int fd =
        socket(name->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    int error;

    if (fd < 0) {
        return -errno;
    }
    if (name->sa_family != AF_UNIX) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    }
    if (name->sa_family == AF_INET6 && v6only) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    }
    if (bind(fd, name, len) == 0 && listen(fd, ADDRESS_BACKLOG) == 0) {
        return fd;
    }
    error = errno;
    close(fd);
    return -error;
}

static int address_listen_unix(const Address *address, GError **errp)
{
    struct sockaddr_un un;
    socklen_t len;
    int fd;

    if (!address_fill_unix(address, &un, &len, errp)) {
        return -1;
    }
    if (!address->abstract) {
        address_remove_stale(&un, len);
    }
    fd = address_bind((struct sockaddr *)&un, len, false);
    if (fd < 0) {
        tf_error_set_errno(errp, -fd, "Failed to bind socket to %s",
                           address->path);
        return -1;
    }
    return fd;
}

static int address_listen_inet(const Address *address, GError **errp)
{
    g_autoptr(AddressInfo) list = address_find(address, AI_PASSIVE, errp);
    int fd = -1;

    if (!list) {
        return -1;
    }
    for (const AddressInfo *info = list; info; info = info->ai_next) {
        fd = address_bind(info->ai_addr, info->ai_addrlen,
                          address->family == AF_INET6);
        if (fd >= 0) {
            return fd;
        }
    }
    tf_error_set_errno(errp, -fd,
                       fd == -EADDRINUSE ? "Failed to find an available port"
                                         : "Failed to bind socket");
    return -1;
}

int address_listen(const Address *address, GError **errp)
{
    switch (address->type) {
    case ADDRESS_INET:
        return address_listen_inet(address, errp);
    case ADDRESS_UNIX:
        return address_listen_unix(address, errp);
    case ADDRESS_FD:
        break;
    }
    return address_listen_fd(address, errp);
}

void address_listen_close(const Address *address, int fd)
{
    struct sockaddr_un un;
    socklen_t len;

    close(fd);
    /* The file is stale now, unless another process has created its own. */
    if (address->type == ADDRESS_UNIX && !address->abstract &&
        address_fill_unix(address, &un, &len, NULL)) {
        address_remove_stale(&un, len);
    }
}

static bool address_is_self(int fd)
{
    SocketName self = {.any.sa_family = AF_UNSPEC};
    SocketName peer = {.any.sa_family = AF_UNSPEC};
    socklen_t self_len = sizeof(self);
    socklen_t peer_len = sizeof(peer);

    return getsockname(fd, &self.any, &self_len) == 0 &&
           getpeername(fd, &peer.any, &peer_len) == 0 &&
           self.any.sa_family != AF_UNIX && self_len == peer_len &&
           memcmp(&self, &peer, self_len) == 0;
}

/* 0 if @fd is connected, or an errno. */
static int address_connect_error(int fd)
{
    int error = 0;
    socklen_t len = sizeof(error);

    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0) {
        return errno;
    }
    if (!error && address_is_self(fd)) {
        return ECONNREFUSED;
    }
    return error;
}

/* Connects @fd, blocking, for at most @timeout_ms; 0 or an errno. */
static int address_connect_blocking(int fd, const struct sockaddr *name,
                                    socklen_t len, unsigned timeout_ms)
{
    const struct timeval limit = {timeout_ms / 1000,
                                  (suseconds_t)(timeout_ms % 1000) * 1000};
    int error = 0;

    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (connect(fd, name, len) < 0) {
        /* The timeout is EINPROGRESS of TCP, EAGAIN of a unix socket. */
        error = errno == EINPROGRESS || errno == EAGAIN ? ETIMEDOUT : errno;
    } else {
        error = address_connect_error(fd);
    }
    address_set_nonblocking(fd);
    return error;
}

/* A socket that is connected (@timeout_ms > 0) or connects to @name, or
 * -errno. */
static int address_try(const struct sockaddr *name, socklen_t len,
                       unsigned timeout_ms)
{
    int flags = SOCK_STREAM | SOCK_CLOEXEC | (timeout_ms ? 0 : SOCK_NONBLOCK);
    int fd = socket(name->sa_family, flags, 0);
    int error = 0;

    if (fd < 0) {
        return -errno;
    }
    address_tune(fd);
    if (timeout_ms > 0) {
        error = address_connect_blocking(fd, name, len, timeout_ms);
    } else if (connect(fd, name, len) < 0 && errno != EINPROGRESS) {
        error = errno;
    }
    if (error) {
        close(fd);
        return -error;
    }
    return fd;
}

bool address_is_name(const Address *address)
{
    const AddressInfo hints = {.ai_flags = AI_NUMERICHOST};
    g_autoptr(AddressInfo) list = NULL;

    return address->type == ADDRESS_INET && address->host && *address->host &&
           getaddrinfo(address->host, NULL, &hints, &list) != 0;
}

AddressInfo *address_resolve(const Address *address, GError **errp)
{
    return address_find(address, 0, errp);
}

static int address_connect_found(const Address *address,
                                 const AddressInfo *found, unsigned turn,
                                 unsigned timeout_ms, GError **errp)
{
    g_autoptr(GPtrArray) infos = g_ptr_array_new();
    g_autofree char *name = address_name(address);
    int fd = -1;

    for (; found; found = found->ai_next) {
        g_ptr_array_add(infos, (gpointer)found);
    }
    for (guint i = 0; i < infos->len; i++) {
        const AddressInfo *info = infos->pdata[(turn + i) % infos->len];

        fd = address_try(info->ai_addr, info->ai_addrlen, timeout_ms);
        if (fd >= 0) {
            return fd;
        }
    }
    tf_error_set_errno(errp, -fd, "Failed to connect to '%s'", name);
    return -1;
}

static int address_connect_inet(const Address *address,
                                const AddressInfo *found, unsigned turn,
                                unsigned timeout_ms, GError **errp)
{
    g_autoptr(AddressInfo) list = found ? NULL : address_resolve(address, errp);

    if (!found && !list) {
        return -1;
    }
    return address_connect_found(address, found ? found : list, turn,
                                 timeout_ms, errp);
}

static int address_connect_unix(const Address *address, unsigned timeout_ms,
                                GError **errp)
{
    struct sockaddr_un un;
    socklen_t len;
    int fd;

    if (!address_fill_unix(address, &un, &len, errp)) {
        return -1;
    }
    fd = address_try((struct sockaddr *)&un, len, timeout_ms);
    if (fd < 0) {
        tf_error_set_errno(errp, -fd, "Failed to connect to '%s'",
                           address->path);
        return -1;
    }
    return fd;
}

static int address_connect_any(const Address *address, const AddressInfo *found,
                               unsigned turn, unsigned timeout_ms,
                               GError **errp)
{
    switch (address->type) {
    case ADDRESS_INET:
        return address_connect_inet(address, found, turn, timeout_ms, errp);
    case ADDRESS_UNIX:
        return address_connect_unix(address, timeout_ms, errp);
    case ADDRESS_FD:
        break;
    }
    if (address_fd_listens(address->fd)) {
        tf_error_set(errp, "File descriptor '%d' is a listening socket",
                     address->fd);
        return -1;
    }
    return address_take_fd(address, errp);
}

int address_connect(const Address *address, const AddressInfo *found,
                    unsigned turn, GError **errp)
{
    return address_connect_any(address, found, turn, 0, errp);
}

int address_connect_sync(const Address *address, unsigned timeout_ms,
                         GError **errp)
{
    return address_connect_any(address, NULL, 0, timeout_ms, errp);
}

bool address_connect_done(const Address *address, int fd, GError **errp)
{
    g_autofree char *name = address_name(address);
    int error = address_connect_error(fd);

    return !error ||
           tf_error_set_errno(errp, error, "Failed to connect to '%s'", name);
}

int address_accept(int listen_fd)
{
    int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd >= 0) {
        address_tune(fd);
    }
    return fd;
}
