/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A capture file on disk: buffered, rotated, and valid at any moment.
 *
 * Frames are collected in a buffer that is written when it is full, or a second
 * after the first of them. When the file system is full, a partially written
 * unit is truncated, the rest stays in the buffer, and frames are refused while
 * that is full; writing goes on once there is room. Nothing blocks except
 * write(2).
 *
 * Owned by a filter-dump. In its loop only.
 */
#ifndef TF_FILTER_DUMP_FILE_H
#define TF_FILTER_DUMP_FILE_H

#include "wire/pcap.h"

typedef struct DumpFile DumpFile;

typedef struct DumpFileHandlers {
    /* A new file begins: fills in @header (format is set). Strings are borrowed
     * until the file has been started. */
    void (*describe)(void *opaque, PcapHeader *header);
    /* @packets frames of @bytes in total had been taken, and are lost. */
    void (*lost)(void *opaque, uint64_t packets, uint64_t bytes);
} DumpFileHandlers;

typedef struct DumpFileConfig {
    const char *path;
    PcapFormat format;
    uint64_t rotate_size;     /* bytes; 0: not by size */
    uint32_t rotate_interval; /* seconds; 0: not by time */
    uint32_t rotate_keep;     /* how many old files stay: PATH.1, PATH.2, … */
} DumpFileConfig;

/* Creates the file with its header; errors are worded as QEMU words them. */
DumpFile *dump_file_new(const DumpFileConfig *config,
                        const DumpFileHandlers *handlers, void *opaque,
                        GError **errp);
/* Writes what can be written. Harmless with NULL. */
void dump_file_free(DumpFile *file);

/* False: the buffer is full, and the frame was not taken. */
bool dump_file_append(DumpFile *file, const PcapFrame *frame);

/* Writes the buffer. */
void dump_file_flush(DumpFile *file);

/* Starts a new file if the path is another file by now, or none. */
void dump_file_reopen(DumpFile *file);

/* Frames may be longer from now on. */
void dump_file_set_snaplen(DumpFile *file, uint32_t snaplen);

const char *dump_file_path(const DumpFile *file);

#endif
