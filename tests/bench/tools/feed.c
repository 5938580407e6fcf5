/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames in QEMU's framing into a stream, many a write:
 *
 *   bench-feed ADDRESS SIZE COUNT
 *
 * Closes the stream behind them.
 */
#include "frame.h"
#include "stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>

int main(int argc, char **argv)
{
    static uint8_t frames[BATCH * (sizeof(uint32_t) + TSO_FROM)];
    struct virtio_net_hdr vnet;
    size_t size = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    uint64_t count = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
    size_t record = sizeof(uint32_t) + size;
    uint32_t len = htonl((uint32_t)size);
    int fd;

    if (count == 0 || size > TSO_FROM ||
        !frame_make(frames + sizeof(len), size, &vnet)) {
        fputs("usage: bench-feed ADDRESS SIZE COUNT\n", stderr);
        return 1;
    }
    memcpy(frames, &len, sizeof(len));
    for (size_t i = 1; i < BATCH; i++) {
        memcpy(frames + i * record, frames, record);
    }
    fd = stream_connect(argv[1]);
    while (count > 0) {
        size_t n = count < BATCH ? (size_t)count : BATCH;

        stream_write(fd, frames, n * record);
        count -= n;
    }
    return 0;
}
