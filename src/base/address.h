/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stream socket addresses: TCP, unix (path or abstract) and inherited
 * descriptors; used by chardevs, monitors and vm-qmp. Any thread.
 */
#ifndef TF_BASE_ADDRESS_H
#define TF_BASE_ADDRESS_H

#include <stdbool.h>

#include <glib.h>

struct addrinfo;

typedef enum AddressType {
    ADDRESS_INET,
    ADDRESS_UNIX,
    ADDRESS_FD,
} AddressType;

typedef struct Address {
    AddressType type;
    char *host;    /* inet; "" or NULL: any (listen), localhost (connect) */
    char *port;    /* inet */
    int family;    /* inet: AF_INET or AF_INET6; 0: either */
    char *path;    /* unix */
    bool abstract; /* unix: a name in the abstract name space */
    bool padded;   /* abstract: the name goes on with zeros ("tight=off") */
    int fd;        /* fd: owned from address_listen()/address_connect() on */
} Address;

/* QEMU's ipv4 and ipv6 among the options of an address. */
typedef struct AddressIp {
    bool v4, v4_given;
    bool v6, v6_given;
} AddressIp;

/* The family that @ip asks for, as QEMU understands it: one switched on, or
 * the other one off, leaves that one. False and an error if both are off. */
bool address_family(const AddressIp *ip, int *family, GError **errp);

/* Parses "unix:PATH", "tcp:HOST:PORT" (IPv6 in brackets). */
bool address_parse(const char *text, Address *address, GError **errp);
void address_clear(Address *address);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Address, address_clear)

/* As QEMU prints it: "tcp:127.0.0.1:4444", "tcp:[::1]:4444", "unix:/run/x";
 * owned. */
char *address_to_string(const Address *address);

/* As error messages name it: without the type; owned. */
char *address_name(const Address *address);

/* The address of a socket's own or of its peer's end, in numbers; to be
 * cleared. False and an ADDRESS_FD if it has none. */
bool address_of_socket(int fd, bool peer, Address *address);

/* Returns a listening, non-blocking, close-on-exec socket, or -1. A stale
 * unix socket file is removed first; one that is in use is an error. */
int address_listen(const Address *address, GError **errp);

/* Closes what address_listen() made, and removes its unix socket file. */
void address_listen_close(const Address *address, int fd);

/* True if resolving @address may take a DNS server. */
bool address_is_name(const Address *address);

/* Resolves host and port of @address, for address_connect(); to be freed with
 * freeaddrinfo(). May block (DNS); NULL and an error. */
struct addrinfo *address_resolve(const Address *address, GError **errp);

/* Starts to connect: a non-blocking, close-on-exec socket whose connection is
 * made when it gets writable and SO_ERROR is 0, or -1. @found is what @address
 * resolves to; NULL: resolves it now, which may block. Starts with address
 * number @turn of those, modulo their number: a caller that counts its attempts
 * tries each. */
int address_connect(const Address *address, const struct addrinfo *found,
                    unsigned turn, GError **errp);

/* @fd has become writable: was the connection made? A TCP socket that has
 * connected to itself (simultaneous open on a port of the ephemeral range)
 * counts as refused. */
bool address_connect_done(const Address *address, int fd, GError **errp);

/* Connects, blocking, and tries all addresses that the name resolves to, for
 * @timeout_ms (> 0) each: a unix server whose backlog is full would block for
 * ever. The socket is non-blocking; -1 and an error. */
int address_connect_sync(const Address *address, unsigned timeout_ms,
                         GError **errp);

/* Of what a daemon connects to, with all that is on its loops waiting. */
#define ADDRESS_CONNECT_TIMEOUT_MS 10000

/* Accepts a connection: non-blocking, close-on-exec, with TCP_NODELAY; or -1
 * and errno. */
int address_accept(int listen_fd);

/* Sets after how many seconds without a sign of life from its peer connection
 * @fd ends, by keepalive probes and TCP_USER_TIMEOUT. 0: the default, a minute
 * for probes and TCP's own limit for unacknowledged data. No effect on other
 * sockets than TCP. */
void address_set_patience(int fd, unsigned seconds);

#endif
