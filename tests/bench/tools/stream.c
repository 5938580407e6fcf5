/* SPDX-License-Identifier: BSD-2-Clause */
#include "stream.h"

#include "frame.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#define RETRY_NS 5000000

typedef union StreamAddress {
    struct sockaddr any;
    struct sockaddr_un unix_path;
    struct sockaddr_in tcp;
} StreamAddress;

static void stream_parse(const char *text, StreamAddress *address)
{
    unsigned port;
    char host[64];

    memset(address, 0, sizeof(*address));
    if (strncmp(text, "unix:", 5) == 0) {
        address->unix_path.sun_family = AF_UNIX;
        strncpy(address->unix_path.sun_path, text + 5,
                sizeof(address->unix_path.sun_path) - 1);
    } else if (sscanf(text, "tcp:%63[^:]:%u", host, &port) == 2) {
        address->tcp.sin_family = AF_INET;
        address->tcp.sin_port = htons((uint16_t)port);
        address->tcp.sin_addr.s_addr = inet_addr(host);
    } else {
        fprintf(stderr, "no address: %s\n", text);
        exit(1);
    }
}

static socklen_t stream_address_len(const StreamAddress *address)
{
    return address->any.sa_family == AF_UNIX ? sizeof(address->unix_path)
                                             : sizeof(address->tcp);
}

static int stream_socket(const char *text, StreamAddress *address)
{
    int fd, on = 1;

    stream_parse(text, address);
    fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        frame_die("socket");
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (address->any.sa_family == AF_INET) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
    return fd;
}

int stream_accept(const char *text)
{
    StreamAddress address;
    int listener = stream_socket(text, &address);
    int fd;

    if (address.any.sa_family == AF_UNIX) {
        unlink(address.unix_path.sun_path);
    }
    if (bind(listener, &address.any, stream_address_len(&address)) < 0 ||
        listen(listener, 1) < 0 ||
        (fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) < 0) {
        frame_die(text);
    }
    close(listener);
    return fd;
}

int stream_connect(const char *text)
{
    StreamAddress address;

    for (;;) {
        int fd = stream_socket(text, &address);

        if (connect(fd, &address.any, stream_address_len(&address)) == 0) {
            return fd;
        }
        if (errno != ENOENT && errno != ECONNREFUSED) {
            frame_die(text);
        }
        close(fd);
        nanosleep(&(struct timespec){.tv_nsec = RETRY_NS}, NULL);
    }
}

void stream_write(int fd, const void *data, size_t len)
{
    const uint8_t *bytes = data;

    while (len > 0) {
        ssize_t n = write(fd, bytes, len);

        if (n > 0) {
            bytes += n;
            len -= (size_t)n;
        } else if (errno != EINTR) {
            frame_die("write");
        }
    }
}

void stream_init(Stream *stream, int fd, bool vnet)
{
    stream->fd = fd;
    stream->vnet = vnet;
    stream->start = stream->end = 0;
}

bool stream_fill(Stream *stream)
{
    ssize_t n;

    memmove(stream->buffer, stream->buffer + stream->start,
            stream->end - stream->start);
    stream->end -= stream->start;
    stream->start = 0;
    n = read(stream->fd, stream->buffer + stream->end,
             STREAM_BUFFER - stream->end);
    if (n > 0) {
        stream->end += (size_t)n;
    }
    return n > 0;
}

uint8_t *stream_next(Stream *stream, size_t *len)
{
    uint8_t *at = stream->buffer + stream->start;
    size_t header = stream->vnet ? STREAM_HEADER_MAX : sizeof(uint32_t);
    size_t there = stream->end - stream->start;
    uint32_t payload;

    if (there < header) {
        return NULL;
    }
    memcpy(&payload, at, sizeof(payload));
    *len = ntohl(payload);
    if (there - header < *len) {
        return NULL;
    }
    stream->start += header + *len;
    return at + header;
}
