/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Capture files, written without I/O: classic pcap and pcapng.
 *
 * classic  what QEMU's filter-dump writes: byte order of the machine, magic
 *          0xa1b2c3d4, version 2.4, microseconds (IETF draft-ietf-opsawg-pcap)
 * pcapng   one section, one interface with nanoseconds, one enhanced packet
 *          block a frame with its direction, and interface statistics
 *          (IETF draft-ietf-opsawg-pcapng)
 *
 * A file is a header and then units (records, blocks) one after the other;
 * cut off behind any unit it is a good file.
 */
#ifndef TF_WIRE_PCAP_H
#define TF_WIRE_PCAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

/* The order of the words of the property "format". */
typedef enum PcapFormat { PCAP_FORMAT_CLASSIC, PCAP_FORMAT_NG } PcapFormat;

/* Strings may be NULL, and are left out then; classic has none of them. */
typedef struct PcapHeader {
    PcapFormat format;
    uint32_t snaplen; /* the most bytes of a frame */
    const char *hardware, *os, *application;
    const char *ifname;
    const char *filter; /* pcap-filter expression */
} PcapHeader;

typedef struct PcapFrame {
    const uint8_t *data;
    uint32_t len;    /* of the frame */
    uint32_t caplen; /* how much of it goes into the file; <= len */
    bool outbound;   /* the interface sent it (toward the guest) */
    int64_t time_ns; /* CLOCK_REALTIME */
} PcapFrame;

typedef struct PcapStatistics {
    int64_t start_ns, end_ns; /* CLOCK_REALTIME */
    uint64_t received;        /* frames that were to be written */
    uint64_t dropped;         /* that were not */
} PcapStatistics;

/* Room for what pcap_write_statistics() writes. */
#define PCAP_STATISTICS_SIZE 88

/* Appends the header of a file to @out. Returns where in it the snaplen is, a
 * uint32_t that may be raised later. */
size_t pcap_append_header(GByteArray *out, const PcapHeader *header);

/* Bytes that a frame takes in the file. */
size_t pcap_frame_size(PcapFormat format, uint32_t caplen);

/* Writes a unit of pcap_frame_size() bytes and returns its length. */
size_t pcap_write_frame(uint8_t *out, PcapFormat format,
                        const PcapFrame *frame);

/* Likewise the end of a file; classic has none: 0. */
size_t pcap_write_statistics(uint8_t *out, PcapFormat format,
                             const PcapStatistics *statistics);

/* The length of the unit at @unit. */
size_t pcap_unit_size(PcapFormat format, const uint8_t *unit);

/* Sets @len to the length of the frame in the unit; false if it holds none. */
bool pcap_unit_frame(PcapFormat format, const uint8_t *unit, uint32_t *len);

#endif
