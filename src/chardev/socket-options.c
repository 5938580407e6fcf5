/* SPDX-License-Identifier: BSD-2-Clause */
#include "chardev/socket.h"

#include <limits.h>
#include <string.h>

static bool socket_is_nested(const ChardevSocket *self)
{
    return self->addr_type != NULL;
}

static bool socket_check_nested(const ChardevSocket *self, GError **errp)
{
    bool inet = strcmp(self->addr_type, "inet") == 0;
    bool fd = strcmp(self->addr_type, "fd") == 0;
    const struct {
        const char *name, *value;
        bool wanted;
    } members[] = {
        {"host", self->host, inet},
        {"port", self->port, inet},
        {"path", self->path, !inet && !fd},
        {"str", self->fd_text, fd},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(members); i++) {
        if (members[i].wanted != (members[i].value != NULL)) {
            return tf_error_set(
                errp, "Parameter 'backend.data.addr.data.%s' is %s",
                members[i].name, members[i].wanted ? "missing" : "unexpected");
        }
    }
    return true;
}

static bool socket_check_flat(const ChardevSocket *self, GError **errp)
{
    int n =
        (self->host != NULL) + (self->path != NULL) + (self->fd_text != NULL);

    if (n > 1) {
        return tf_error_set(
            errp, "None or one of 'path', 'fd' or 'host' option required.");
    }
    if (n == 0) {
        return self->chardev.object.syntax == PROP_SYNTAX_JSON
                   ? tf_error_set(errp,
                                  "Parameter 'backend.data.addr' is missing")
                   : tf_error_set(errp, "chardev: socket: no 'host', 'path' or "
                                        "'fd' given");
    }
    if (self->host && !self->port) {
        return tf_error_set(errp, "chardev: socket: no port given");
    }
    return true;
}

bool chardev_socket_check(const Chardev *chardev, GError **errp)
{
    const ChardevSocket *self = (const ChardevSocket *)chardev;

    return socket_is_nested(self) ? socket_check_nested(self, errp)
                                  : socket_check_flat(self, errp);
}

static bool socket_check_mode(const ChardevSocket *self, GError **errp)
{
    const char *name = self->reconnect_ms_given ? "reconnect-ms" : "reconnect";
    bool reconnect = self->reconnect_given || self->reconnect_ms_given;

    if (self->reconnect_given && self->reconnect_ms_given) {
        return tf_error_set(
            errp, "'reconnect' and 'reconnect-ms' are mutually exclusive");
    }
    if (self->server && reconnect) {
        return tf_error_set(errp,
                            "'%s' option is incompatible with socket in "
                            "server listen mode",
                            name);
    }
    if (!self->server && self->wait_given) {
        return tf_error_set(errp, "'wait' option is incompatible with socket "
                                  "in client connect mode");
    }
    if (self->fd_text && reconnect) {
        return tf_error_set(
            errp, "'%s' option is incompatible with 'fd' address type", name);
    }
    return true;
}

/* QEMU's order: the credentials first, then whether the address can have any.
 * A client on an inherited socket would not know whom to expect. */
static bool socket_check_tls(ChardevSocket *self, GError **errp)
{
    TlsCreds *creds;

    if (!self->tls_creds) {
        return true;
    }
    creds = tls_creds_find(
        self->tls_creds,
        self->server ? TLS_ENDPOINT_SERVER : TLS_ENDPOINT_CLIENT, errp);
    if (!creds) {
        return false;
    }
    if (self->path) {
        return tf_error_set(errp, "'tls_creds' option is incompatible with "
                                  "'unix' address type");
    }
    if (self->fd_text && !self->server) {
        return tf_error_set(errp, "'tls_creds' option is incompatible with "
                                  "'fd' address type as client");
    }
    self->creds = creds;
    creds->object.users++;
    return true;
}

static bool socket_fill_address(ChardevSocket *self, GError **errp)
{
    Address *address = &self->address;

    address->host = g_strdup(self->host);
    address->port = g_strdup(self->port);
    if (!address_family(&self->ip, &address->family, errp)) {
        return false;
    }
    address->path = g_strdup(self->path);
    address->abstract =
        self->abstract || g_strcmp0(self->addr_type, "abstract") == 0;
    address->padded = !self->tight;
    address->type = self->host ? ADDRESS_INET : ADDRESS_UNIX;
    if (self->fd_text) {
        guint64 fd;

        if (!g_ascii_string_to_unsigned(self->fd_text, 10, 0, INT_MAX, &fd,
                                        NULL)) {
            return tf_error_set(errp, "Unable to parse FD number %s",
                                self->fd_text);
        }
        address->type = ADDRESS_FD;
        address->fd = (int)fd;
    }
    return true;
}

/* The defaults of chardev-add are not those of the command line (QEMU
 * qapi/char.json, ChardevSocket; qemu-options.hx, -chardev socket). */
static void socket_set_defaults(ChardevSocket *self)
{
    if (!self->server_given) {
        self->server = socket_is_nested(self);
    }
    if (!self->wait_given) {
        self->wait = self->server && !socket_is_nested(self);
    }
}

bool chardev_socket_prepare(ChardevSocket *self, GError **errp)
{
    socket_set_defaults(self);
    if (!socket_check_tls(self, errp) || !socket_check_mode(self, errp) ||
        !socket_fill_address(self, errp)) {
        return false;
    }
    if (self->reconnect_given) {
        self->reconnect_ms = self->reconnect * 1000;
    }
    return true;
}

static const char *const socket_addr_types[] = {"inet", "unix", "fd",
                                                "abstract", NULL};

const Property chardev_socket_props[] = {
    {
        .name = "addr.type",
        PROP_FIELD_STRING(ChardevSocket, addr_type),
        .flags = PROP_FIXED | PROP_IN_GROUP,
        .enum_name = "SocketAddressType",
        .values = socket_addr_types,
        .since = "0.1",
        .doc = "What addr.data describes; chardev-add only.",
    },
    {
        .name = "host",
        PROP_FIELD_STRING(ChardevSocket, host),
        .flags = PROP_FIXED,
        .json = "addr.data.host",
        .since = "0.1",
        .doc = "Name or number to connect to or to listen at; empty: any.",
    },
    {
        .name = "port",
        PROP_FIELD_STRING(ChardevSocket, port),
        .flags = PROP_FIXED,
        .json = "addr.data.port",
        .since = "0.1",
        .doc = "TCP port; 0 lets the kernel choose one to listen at.",
    },
    {
        .name = "ipv4",
        PROP_FIELD_BOOL(ChardevSocket, ip.v4),
        PROP_GIVEN(ChardevSocket, ip.v4_given),
        .flags = PROP_FIXED,
        .json = "addr.data.ipv4",
        .since = "0.1",
        .doc = "On: IPv4 alone; off: not IPv4.",
    },
    {
        .name = "ipv6",
        PROP_FIELD_BOOL(ChardevSocket, ip.v6),
        PROP_GIVEN(ChardevSocket, ip.v6_given),
        .flags = PROP_FIXED,
        .json = "addr.data.ipv6",
        .since = "0.1",
        .doc = "On: IPv6 alone; off: not IPv6.",
    },
    {
        .name = "path",
        PROP_FIELD_STRING(ChardevSocket, path),
        .flags = PROP_FIXED,
        .json = "addr.data.path",
        .since = "0.1",
        .doc = "Path of a unix socket.",
    },
    {
        .name = "abstract",
        PROP_FIELD_BOOL(ChardevSocket, abstract),
        .flags = PROP_FIXED,
        .json = "addr.data.abstract",
        .since = "0.1",
        .doc = "path is a name in the abstract name space, not a file.",
    },
    {
        .name = "tight",
        PROP_FIELD_BOOL(ChardevSocket, tight),
        .flags = PROP_FIXED,
        .def = "on",
        .json = "addr.data.tight",
        .since = "0.1",
        .doc = "An abstract name ends where path ends; off: padded with "
               "zeros.",
    },
    {
        .name = "fd",
        PROP_FIELD_STRING(ChardevSocket, fd_text),
        .flags = PROP_FIXED,
        .json = "addr.data.str",
        .since = "0.1",
        .doc = "Number of an inherited socket, connected or (server) "
               "listening.",
    },
    {
        .name = "server",
        PROP_FIELD_BOOL(ChardevSocket, server),
        PROP_GIVEN(ChardevSocket, server_given),
        .flags = PROP_FIXED,
        .since = "0.1",
        .doc = "Listen instead of connecting; default off, with addr.type on.",
    },
    {
        .name = "wait",
        PROP_FIELD_BOOL(ChardevSocket, wait),
        PROP_GIVEN(ChardevSocket, wait_given),
        .flags = PROP_FIXED,
        .since = "0.1",
        .doc = "A server waits for its first peer before anything else "
               "starts; default on, with addr.type off.",
    },
    {
        .name = "nodelay",
        PROP_FIELD_BOOL(ChardevSocket, nodelay),
        .flags = PROP_FIXED,
        .def = "on",
        .since = "0.1",
        .doc = "Send small frames at once (TCP_NODELAY).",
    },
    {
        .name = "reconnect",
        PROP_FIELD_UINT32(ChardevSocket, reconnect),
        PROP_GIVEN(ChardevSocket, reconnect_given),
        .flags = PROP_FIXED,
        .max = UINT32_MAX / 1000,
        .since = "0.1",
        .doc = "A client connects again after so many seconds; 0: never.",
    },
    {
        .name = "reconnect-ms",
        PROP_FIELD_UINT32(ChardevSocket, reconnect_ms),
        PROP_GIVEN(ChardevSocket, reconnect_ms_given),
        .flags = PROP_FIXED,
        .since = "0.1",
        .doc = "As reconnect, in milliseconds.",
    },
    {
        .name = "tls-creds",
        PROP_FIELD_STRING(ChardevSocket, tls_creds),
        .flags = PROP_FIXED,
        .since = "0.1",
        .doc = "Speak TLS with these credentials (the id of a tls-creds-x509 "
               "or tls-creds-psk).",
    },
    {
        .name = "connected",
        PROP_FIELD_BOOL(ChardevSocket, chardev.connected),
        .flags = PROP_READ_ONLY,
        .since = "0.1",
        .doc = "Is there a peer?",
    },
    PROP_END,
};
