/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the guest got, in a file that is mapped and so outlives a killed
 * process: the header, then records, each padded to 8 bytes.
 */
#ifndef BLACKOUT_VMM_RECORD_H
#define BLACKOUT_VMM_RECORD_H

#include <stdint.h>

#define RECORD_FILE_SIZE (1ull << 30) /* sparse */

typedef struct RecordHeader {
    uint64_t frames; /* complete ones */
    uint64_t bytes;  /* of the records behind the header */
} RecordHeader;

typedef struct RecordFrame {
    uint64_t time_ns; /* CLOCK_MONOTONIC */
    uint16_t queue;
    uint16_t vnet_len; /* of the virtio-net header before the frame */
    uint32_t len;      /* with that header */
} RecordFrame;

/* Both end the program on failure. */
void record_open(const char *path);
void record_add(unsigned queue, unsigned vnet_len, const void *data,
                uint32_t len);
uint64_t record_count(void);

#endif
