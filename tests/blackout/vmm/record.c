/* SPDX-License-Identifier: BSD-2-Clause */
#include "record.h"

#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static RecordHeader *header;

void record_open(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0 || ftruncate(fd, RECORD_FILE_SIZE) < 0) {
        err(1, "%s", path);
    }
    header =
        mmap(NULL, RECORD_FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (header == MAP_FAILED) {
        err(1, "%s", path);
    }
    close(fd);
}

void record_add(unsigned queue, unsigned vnet_len, const void *data,
                uint32_t len)
{
    uint8_t *at = (uint8_t *)(header + 1) + header->bytes;
    uint64_t size = (sizeof(RecordFrame) + len + 7) & ~7ull;
    struct timespec now;

    if (sizeof(*header) + header->bytes + size > RECORD_FILE_SIZE) {
        errx(1, "the record is full");
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
    *(RecordFrame *)at = (RecordFrame){
        .time_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec,
        .queue = (uint16_t)queue,
        .vnet_len = (uint16_t)vnet_len,
        .len = len,
    };
    memcpy(at + sizeof(RecordFrame), data, len);
    header->bytes += size;
    __atomic_store_n(&header->frames, header->frames + 1, __ATOMIC_RELEASE);
}

uint64_t record_count(void)
{
    return header->frames;
}
