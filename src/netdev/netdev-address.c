/* SPDX-License-Identifier: BSD-2-Clause */
#include "netdev/netdev-address.h"

#include <limits.h>
#include <string.h>

const char *const netdev_address_types[] = {"inet", "unix", "fd", NULL};

bool netdev_address_is_given(const NetdevAddress *given)
{
    return given->type != NULL; /* what else is given needs it */
}

static bool netdev_address_check(const NetdevAddress *given, const char *prefix,
                                 GError **errp)
{
    const struct {
        const char *type, *name, *value;
    } members[] = {
        {"inet", "host", given->host},
        {"inet", "port", given->port},
        {"unix", "path", given->path},
        {"fd", "str", given->str},
    };

    if (!given->type) {
        return tf_error_set(errp, "Parameter '%s' is missing", prefix);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(members); i++) {
        bool wanted = strcmp(members[i].type, given->type) == 0;

        if (wanted != (members[i].value != NULL)) {
            return tf_error_set(errp, "Parameter '%s.%s' is %s", prefix,
                                members[i].name,
                                wanted ? "missing" : "unexpected");
        }
    }
    return true;
}

static bool netdev_address_check_ip(const NetdevAddress *given,
                                    const char *prefix, GError **errp)
{
    if (!given->host && (given->ip.v4_given || given->ip.v6_given)) {
        return tf_error_set(errp, "Parameter '%s.%s' is unexpected", prefix,
                            given->ip.v4_given ? "ipv4" : "ipv6");
    }
    return true;
}

bool netdev_address_read(const NetdevAddress *given, const char *prefix,
                         Address *address, GError **errp)
{
    guint64 fd = 0;
    int family = 0;

    *address = (Address){.type = ADDRESS_INET};
    if (!netdev_address_check(given, prefix, errp) ||
        !netdev_address_check_ip(given, prefix, errp) ||
        !address_family(&given->ip, &family, errp)) {
        return false;
    }
    if (given->str &&
        !g_ascii_string_to_unsigned(given->str, 10, 0, INT_MAX, &fd, NULL)) {
        return tf_error_set(errp,
                            "File descriptor named '%s' has not been "
                            "found",
                            given->str);
    }
    *address = (Address){
        .type = given->host   ? ADDRESS_INET
                : given->path ? ADDRESS_UNIX
                              : ADDRESS_FD,
        .host = g_strdup(given->host),
        .port = g_strdup(given->port),
        .family = family,
        .path = g_strdup(given->path),
        .abstract = given->abstract,
        .padded = !given->tight,
        .fd = (int)fd,
    };
    return true;
}

json_t *netdev_address_to_json(const Address *address)
{
    g_autofree char *path = NULL;
    json_t *json;

    switch (address->type) {
    case ADDRESS_INET:
        return json_pack("{s:s, s:s, s:s, s:b}", "type", "inet", "host",
                         address->host, "port", address->port,
                         strchr(address->host, ':') ? "ipv6" : "ipv4", 1);
    case ADDRESS_UNIX:
        path = g_utf8_make_valid(address->path, -1);
        json = json_pack("{s:s, s:s}", "type", "unix", "path", path);
        if (address->abstract) {
            json_object_set_new(json, "abstract", json_true());
            json_object_set_new(json, "tight", json_boolean(!address->padded));
        }
        return json;
    case ADDRESS_FD:
        break;
    }
    path = g_strdup_printf("%d", address->fd);
    return json_pack("{s:s, s:s}", "type", "fd", "str", path);
}
