/* SPDX-License-Identifier: BSD-2-Clause */
#include "wire/pcap.h"

#include <string.h>

#define LINKTYPE_ETHERNET 1

/* Classic: draft-ietf-opsawg-pcap, section 4 and 5. */
#define CLASSIC_MAGIC 0xa1b2c3d4u
typedef struct ClassicHeader {
    uint32_t magic;
    uint16_t major, minor;
    uint32_t zone, sigfigs;
    uint32_t snaplen, linktype;
} ClassicHeader;

typedef struct ClassicRecord {
    uint32_t sec, usec;
    uint32_t caplen, len;
} ClassicRecord;

/* pcapng: draft-ietf-opsawg-pcapng, section 4; numbers in the byte order of
 * the machine, everything padded to 4 bytes. */
enum {
    BLOCK_SECTION = 0x0a0d0d0a,
    BLOCK_INTERFACE = 1,
    BLOCK_STATISTICS = 5,
    BLOCK_PACKET = 6,
};
#define SECTION_MAGIC 0x1a2b3c4du

enum {
    OPTION_END = 0,
    OPTION_SHB_HARDWARE = 2,
    OPTION_SHB_OS = 3,
    OPTION_SHB_APPLICATION = 4,
    OPTION_IF_NAME = 2,
    OPTION_IF_TSRESOL = 9,
    OPTION_IF_FILTER = 11,
    OPTION_EPB_FLAGS = 2,
    OPTION_ISB_STARTTIME = 2,
    OPTION_ISB_ENDTIME = 3,
    OPTION_ISB_IFRECV = 4,
    OPTION_ISB_IFDROP = 5,
};
enum { EPB_INBOUND = 1, EPB_OUTBOUND = 2 };
#define NANOSECONDS 9

typedef struct BlockStart {
    uint32_t type, length;
} BlockStart;

typedef struct Option {
    uint16_t code, length;
} Option;

typedef struct PacketStart {
    BlockStart block;
    uint32_t interface;
    uint32_t time_high, time_low;
    uint32_t caplen, len;
} PacketStart;

/* Behind the frame and its padding. */
typedef struct PacketEnd {
    Option flags_option;
    uint32_t flags;
    Option end;
    uint32_t length;
} PacketEnd;

typedef struct StatisticsTime {
    Option option;
    uint32_t high, low;
} StatisticsTime;

typedef struct StatisticsCounter {
    Option option;
    uint32_t value[2]; /* a uint64_t, but aligned to 4 bytes */
} StatisticsCounter;

typedef struct StatisticsBlock {
    BlockStart block;
    uint32_t interface;
    uint32_t time_high, time_low;
    StatisticsTime start, stop;
    StatisticsCounter received, dropped;
    Option end;
    uint32_t length;
} StatisticsBlock;

G_STATIC_ASSERT(sizeof(StatisticsBlock) <= PCAP_STATISTICS_SIZE);

static size_t pcap_pad(size_t size)
{
    return (size + 3) & ~(size_t)3;
}

static void pcap_append(GByteArray *out, const void *data, size_t size)
{
    g_byte_array_append(out, data, (guint)size);
}

/* Headers */

static void pcap_append_padding(GByteArray *out)
{
    pcap_append(out, "\0\0\0", pcap_pad(out->len) - out->len);
}

static void pcap_append_option(GByteArray *out, uint16_t code, const void *data,
                               size_t size)
{
    Option option = {code, (uint16_t)size};

    pcap_append(out, &option, sizeof(option));
    pcap_append(out, data, size);
    pcap_append_padding(out);
}

static void pcap_append_string(GByteArray *out, uint16_t code,
                               const char *string)
{
    if (string) {
        pcap_append_option(out, code, string, MIN(strlen(string), UINT16_MAX));
    }
}

/* One byte says what kind of filter it is, 0 an expression. */
static void pcap_append_filter(GByteArray *out, const char *filter)
{
    Option option = {.code = OPTION_IF_FILTER};
    size_t size;

    if (filter) {
        size = MIN(strlen(filter), UINT16_MAX - 1);
        option.length = (uint16_t)(1 + size);
        pcap_append(out, &option, sizeof(option));
        pcap_append(out, "", 1);
        pcap_append(out, filter, size);
        pcap_append_padding(out);
    }
}

/* Ends the block that began at @start. */
static void pcap_end_block(GByteArray *out, guint start)
{
    Option end = {OPTION_END, 0};
    uint32_t length = (uint32_t)(out->len - start + sizeof(end) + 4);

    pcap_append(out, &end, sizeof(end));
    pcap_append(out, &length, sizeof(length));
    memcpy(out->data + start + offsetof(BlockStart, length), &length,
           sizeof(length));
}

static void pcap_append_section(GByteArray *out, const PcapHeader *header)
{
    const struct {
        BlockStart block;
        uint32_t magic;
        uint16_t major, minor;
        uint32_t length[2]; /* all bits set: not known */
    } section = {
        .block.type = BLOCK_SECTION,
        .magic = SECTION_MAGIC,
        .major = 1,
        .length = {UINT32_MAX, UINT32_MAX},
    };
    guint start = out->len;

    pcap_append(out, &section, sizeof(section));
    pcap_append_string(out, OPTION_SHB_HARDWARE, header->hardware);
    pcap_append_string(out, OPTION_SHB_OS, header->os);
    pcap_append_string(out, OPTION_SHB_APPLICATION, header->application);
    pcap_end_block(out, start);
}

static size_t pcap_append_interface(GByteArray *out, const PcapHeader *header)
{
    const struct {
        BlockStart block;
        uint16_t linktype, reserved;
        uint32_t snaplen;
    } interface = {
        .block.type = BLOCK_INTERFACE,
        .linktype = LINKTYPE_ETHERNET,
        .snaplen = header->snaplen,
    };
    const uint8_t resolution = NANOSECONDS;
    guint start = out->len;

    pcap_append(out, &interface, sizeof(interface));
    pcap_append_string(out, OPTION_IF_NAME, header->ifname);
    pcap_append_option(out, OPTION_IF_TSRESOL, &resolution, 1);
    pcap_append_filter(out, header->filter);
    pcap_end_block(out, start);
    return start + sizeof(interface) - sizeof(uint32_t);
}

size_t pcap_append_header(GByteArray *out, const PcapHeader *header)
{
    ClassicHeader classic = {
        .magic = CLASSIC_MAGIC,
        .major = 2,
        .minor = 4,
        .snaplen = header->snaplen,
        .linktype = LINKTYPE_ETHERNET,
    };
    guint start = out->len;

    if (header->format == PCAP_FORMAT_CLASSIC) {
        pcap_append(out, &classic, sizeof(classic));
        return start + offsetof(ClassicHeader, snaplen);
    }
    pcap_append_section(out, header);
    return pcap_append_interface(out, header);
}

/* Frames */

size_t pcap_frame_size(PcapFormat format, uint32_t caplen)
{
    return format == PCAP_FORMAT_CLASSIC
               ? sizeof(ClassicRecord) + caplen
               : sizeof(PacketStart) + pcap_pad(caplen) + sizeof(PacketEnd);
}

static size_t pcap_write_classic(uint8_t *out, const PcapFrame *frame)
{
    ClassicRecord record = {
        .sec = (uint32_t)(frame->time_ns / 1000000000),
        .usec = (uint32_t)(frame->time_ns % 1000000000 / 1000),
        .caplen = frame->caplen,
        .len = frame->len,
    };

    memcpy(out, &record, sizeof(record));
    memcpy(out + sizeof(record), frame->data, frame->caplen);
    return sizeof(record) + frame->caplen;
}

size_t pcap_write_frame(uint8_t *out, PcapFormat format, const PcapFrame *frame)
{
    size_t size = pcap_frame_size(format, frame->caplen);
    PacketStart start = {
        .block = {BLOCK_PACKET, (uint32_t)size},
        .time_high = (uint32_t)((uint64_t)frame->time_ns >> 32),
        .time_low = (uint32_t)frame->time_ns,
        .caplen = frame->caplen,
        .len = frame->len,
    };
    PacketEnd end = {
        .flags_option = {OPTION_EPB_FLAGS, 4},
        .flags = frame->outbound ? EPB_OUTBOUND : EPB_INBOUND,
        .length = (uint32_t)size,
    };

    if (format == PCAP_FORMAT_CLASSIC) {
        return pcap_write_classic(out, frame);
    }
    memcpy(out, &start, sizeof(start));
    out += sizeof(start);
    memcpy(out, frame->data, frame->caplen);
    memset(out + frame->caplen, 0, pcap_pad(frame->caplen) - frame->caplen);
    memcpy(out + pcap_pad(frame->caplen), &end, sizeof(end));
    return size;
}

/* The end */

static StatisticsTime pcap_time_option(uint16_t code, int64_t time_ns)
{
    return (StatisticsTime){
        {code, 8}, (uint32_t)((uint64_t)time_ns >> 32), (uint32_t)time_ns};
}

static StatisticsCounter pcap_counter_option(uint16_t code, uint64_t value)
{
    StatisticsCounter counter = {.option = {code, 8}};

    memcpy(counter.value, &value, sizeof(value));
    return counter;
}

size_t pcap_write_statistics(uint8_t *out, PcapFormat format,
                             const PcapStatistics *statistics)
{
    StatisticsBlock block = {
        .block = {BLOCK_STATISTICS, sizeof(block)},
        .time_high = (uint32_t)((uint64_t)statistics->end_ns >> 32),
        .time_low = (uint32_t)statistics->end_ns,
        .start = pcap_time_option(OPTION_ISB_STARTTIME, statistics->start_ns),
        .stop = pcap_time_option(OPTION_ISB_ENDTIME, statistics->end_ns),
        .received =
            pcap_counter_option(OPTION_ISB_IFRECV, statistics->received),
        .dropped = pcap_counter_option(OPTION_ISB_IFDROP, statistics->dropped),
        .length = sizeof(block),
    };

    if (format == PCAP_FORMAT_CLASSIC) {
        return 0;
    }
    memcpy(out, &block, sizeof(block));
    return sizeof(block);
}

/* Reading back */

size_t pcap_unit_size(PcapFormat format, const uint8_t *unit)
{
    ClassicRecord record;
    BlockStart block;

    if (format == PCAP_FORMAT_CLASSIC) {
        memcpy(&record, unit, sizeof(record));
        return sizeof(record) + record.caplen;
    }
    memcpy(&block, unit, sizeof(block));
    return block.length;
}

bool pcap_unit_frame(PcapFormat format, const uint8_t *unit, uint32_t *len)
{
    ClassicRecord record;
    PacketStart start;

    if (format == PCAP_FORMAT_CLASSIC) {
        memcpy(&record, unit, sizeof(record));
        *len = record.len;
        return true;
    }
    memcpy(&start.block, unit, sizeof(start.block));
    if (start.block.type != BLOCK_PACKET) {
        return false;
    }
    memcpy(&start, unit, sizeof(start));
    *len = start.len;
    return true;
}
