/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stream sockets by address, "unix:PATH" or "tcp:HOST:PORT", and QEMU's framing
 * on them: u32 BE length, u32 BE length of the virtio-net header if there are
 * such, then that header and the frame.
 */
#ifndef BENCH_STREAM_H
#define BENCH_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STREAM_HEADER_MAX 8
#define STREAM_BUFFER (256 * 1024)

/* The first connection that comes to @address. */
int stream_accept(const char *address);
/* A connection to @address; waits for somebody to listen there. */
int stream_connect(const char *address);

void stream_write(int fd, const void *data, size_t len);

/* Parses what was read. */
typedef struct Stream {
    int fd;
    bool vnet;
    size_t start, end; /* of what is in the buffer */
    uint8_t buffer[STREAM_BUFFER];
} Stream;

void stream_init(Stream *stream, int fd, bool vnet);
/* Reads once; false at the end of the stream or on a signal. */
bool stream_fill(Stream *stream);
/* The next frame, with its virtio-net header; NULL if it is not complete. */
uint8_t *stream_next(Stream *stream, size_t *len);

#endif
