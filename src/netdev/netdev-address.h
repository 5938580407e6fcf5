/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The socket addresses among the properties of netdevs: QEMU's SocketAddress
 * (qapi/sockets.json) as rows "PREFIX.type", "PREFIX.host" and so on.
 */
#ifndef TF_NETDEV_NETDEV_ADDRESS_H
#define TF_NETDEV_NETDEV_ADDRESS_H

#include "base/address.h"
#include "base/error.h"
#include "object/property.h"

typedef struct NetdevAddress {
    char *type; /* "inet", "unix" or "fd"; NULL: not given */
    char *host, *port;
    AddressIp ip;
    char *path;
    char *str; /* number of a descriptor */
    bool abstract, tight;
} NetdevAddress;

extern const char *const netdev_address_types[];

/* Was anything of it given? */
bool netdev_address_is_given(const NetdevAddress *given);

/* Checks that what its type needs is there and nothing else; @prefix is for
 * messages. Fills @address, to be cleared. */
bool netdev_address_read(const NetdevAddress *given, const char *prefix,
                         Address *address, GError **errp);

/* The JSON that QEMU's events and queries have for @address; owned. */
json_t *netdev_address_to_json(const Address *address);

/* Rows of a table, for the NetdevAddress @field of @instance. */
#define NETDEV_ADDRESS_ROWS(instance, field, prefix, what)                     \
    {.name = prefix ".type",                                                   \
     PROP_FIELD_STRING(instance, field.type),                                  \
     .flags = PROP_FIXED | PROP_IN_GROUP,                                      \
     .enum_name = "SocketAddressType",                                         \
     .values = netdev_address_types,                                           \
     .since = "0.1",                                                           \
     .doc = what ": TCP or UDP, a unix socket, or an inherited descriptor"},   \
        {.name = prefix ".host",                                               \
         PROP_FIELD_STRING(instance, field.host),                              \
         .flags = PROP_FIXED,                                                  \
         .since = "0.1",                                                       \
         .doc = "inet: name or number"},                                       \
        {.name = prefix ".port",                                               \
         PROP_FIELD_STRING(instance, field.port),                              \
         .flags = PROP_FIXED,                                                  \
         .since = "0.1",                                                       \
         .doc = "inet: port"},                                                 \
        {.name = prefix ".ipv4",                                               \
         PROP_FIELD_BOOL(instance, field.ip.v4),                               \
         PROP_GIVEN(instance, field.ip.v4_given),                              \
         .flags = PROP_FIXED,                                                  \
         .since = "0.1",                                                       \
         .doc = "inet: on: IPv4 alone, off: not IPv4"},                        \
        {.name = prefix ".ipv6",                                               \
         PROP_FIELD_BOOL(instance, field.ip.v6),                               \
         PROP_GIVEN(instance, field.ip.v6_given),                              \
         .flags = PROP_FIXED,                                                  \
         .since = "0.1",                                                       \
         .doc = "inet: on: IPv6 alone, off: not IPv6"},                        \
        {.name = prefix ".path",                                               \
         PROP_FIELD_STRING(instance, field.path),                              \
         .flags = PROP_FIXED,                                                  \
         .since = "0.1",                                                       \
         .doc = "unix: path of the socket"},                                   \
        {.name = prefix ".abstract",                                           \
         PROP_FIELD_BOOL(instance, field.abstract),                            \
         .flags = PROP_FIXED,                                                  \
         .since = "0.1",                                                       \
         .doc = "unix: path is a name in the abstract name space"},            \
        {.name = prefix ".tight",                                              \
         PROP_FIELD_BOOL(instance, field.tight),                               \
         .flags = PROP_FIXED,                                                  \
         .def = "on",                                                          \
         .since = "0.1",                                                       \
         .doc = "unix, abstract: the name ends where path ends; off: padded "  \
                "with zeros"},                                                 \
    {                                                                          \
        .name = prefix ".str", PROP_FIELD_STRING(instance, field.str),         \
        .flags = PROP_FIXED, .since = "0.1",                                   \
        .doc = "fd: number of the descriptor"                                  \
    }

#endif
