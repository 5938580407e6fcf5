/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/address.h"

#include "base/error.h"

#include <string.h>
#include <sys/socket.h>

static bool address_parse_inet(const char *text, Address *address,
                               GError **errp)
{
    const char *colon = strrchr(text, ':');
    const char *host = text;
    const char *end = colon;

    if (!colon || !colon[1]) {
        return tf_error_set(errp, "address 'tcp:%s' lacks a port", text);
    }
    if (*host == '[' && end[-1] == ']') {
        host++;
        end--;
    } else if (memchr(host, ':', (size_t)(end - host))) {
        return tf_error_set(errp,
                            "address 'tcp:%s': put the IPv6 address in "
                            "brackets",
                            text);
    }
    *address = (Address){
        .type = ADDRESS_INET,
        .host = g_strndup(host, (gsize)(end - host)),
        .port = g_strdup(colon + 1),
    };
    return true;
}

bool address_parse(const char *text, Address *address, GError **errp)
{
    *address = (Address){.type = ADDRESS_INET};
    if (g_str_has_prefix(text, "tcp:")) {
        return address_parse_inet(text + strlen("tcp:"), address, errp);
    }
    if (!g_str_has_prefix(text, "unix:")) {
        return tf_error_set(
            errp, "address '%s' is neither 'unix:PATH' nor 'tcp:HOST:PORT'",
            text);
    }
    if (!text[strlen("unix:")]) {
        return tf_error_set(errp, "address '%s' lacks a path", text);
    }
    address->type = ADDRESS_UNIX;
    address->path = g_strdup(text + strlen("unix:"));
    return true;
}

bool address_family(const AddressIp *ip, int *family, GError **errp)
{
    bool v4_on = ip->v4_given && ip->v4, v4_off = ip->v4_given && !ip->v4;
    bool v6_on = ip->v6_given && ip->v6, v6_off = ip->v6_given && !ip->v6;

    if (v4_off && v6_off) {
        return tf_error_set(errp, "Cannot disable IPv4 and IPv6 at same time");
    }
    *family = v4_on && v6_on    ? AF_UNSPEC
              : v6_on || v4_off ? AF_INET6
              : v4_on || v6_off ? AF_INET
                                : AF_UNSPEC;
    return true;
}

void address_clear(Address *address)
{
    g_free(address->host);
    g_free(address->port);
    g_free(address->path);
    *address = (Address){.type = ADDRESS_INET};
}

char *address_name(const Address *address)
{
    const char *host = address->host ? address->host : "";
    const char *port = address->port ? address->port : "";

    switch (address->type) {
    case ADDRESS_INET:
        return strchr(host, ':') ? g_strdup_printf("[%s]:%s", host, port)
                                 : g_strdup_printf("%s:%s", host, port);
    case ADDRESS_UNIX:
        return g_strdup(address->path ? address->path : "");
    case ADDRESS_FD:
        break;
    }
    return g_strdup_printf("%d", address->fd);
}

char *address_to_string(const Address *address)
{
    static const char *const prefixes[] = {
        [ADDRESS_INET] = "tcp", [ADDRESS_UNIX] = "unix", [ADDRESS_FD] = "fd"};
    g_autofree char *name = address_name(address);
    const char *suffix = "";

    if (address->type == ADDRESS_UNIX && address->abstract) {
        suffix = address->padded ? ",abstract=on" : ",abstract=on,tight=on";
    }
    return g_strdup_printf("%s:%s%s", prefixes[address->type], name, suffix);
}
