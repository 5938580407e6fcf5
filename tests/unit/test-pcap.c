/* SPDX-License-Identifier: BSD-2-Clause */
/* Capture files byte by byte; the offsets are those of the two drafts. */
#include "wire/pcap.h"

#include <string.h>

static uint32_t u32(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof(value));
    return value;
}

static uint16_t u16(const uint8_t *at)
{
    uint16_t value;

    memcpy(&value, at, sizeof(value));
    return value;
}

static uint64_t u64(const uint8_t *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof(value));
    return value;
}

/* The value of option @code in a block of @length bytes whose options begin
 * at @at; fails if there is none. */
static const uint8_t *find_option(const uint8_t *block, size_t at,
                                  uint16_t code, uint16_t *length)
{
    size_t end = u32(block + 4) - 4;

    while (at < end && u16(block + at) != 0) {
        *length = u16(block + at + 2);
        if (u16(block + at) == code) {
            return block + at + 4;
        }
        at += 4 + ((*length + 3u) & ~3u);
    }
    g_assert_not_reached();
}

static void check_string(const uint8_t *block, size_t at, uint16_t code,
                         const char *expected)
{
    uint16_t length = 0;
    const uint8_t *value = find_option(block, at, code, &length);

    g_assert_cmpmem(value, length, expected, strlen(expected));
}

static void check_block(const uint8_t *block, uint32_t type)
{
    uint32_t length = u32(block + 4);

    g_assert_cmpuint(u32(block), ==, type);
    g_assert_cmpuint(length % 4, ==, 0);
    g_assert_cmpuint(u32(block + length - 4), ==, length);
}

static void test_classic(void)
{
    static const uint8_t bytes[] = "frame";
    g_autoptr(GByteArray) out = g_byte_array_new();
    PcapHeader header = {.format = PCAP_FORMAT_CLASSIC, .snaplen = 100};
    PcapFrame frame = {.data = bytes,
                       .len = 5,
                       .caplen = 3,
                       .time_ns = INT64_C(1234567890123456789)};
    PcapStatistics statistics = {0};
    uint8_t unit[64];
    uint32_t len;

    g_assert_cmpuint(pcap_append_header(out, &header), ==, 16);
    g_assert_cmpuint(out->len, ==, 24);
    g_assert_cmphex(u32(out->data), ==, 0xa1b2c3d4);
    g_assert_cmpuint(u16(out->data + 4), ==, 2);
    g_assert_cmpuint(u16(out->data + 6), ==, 4);
    g_assert_cmpuint(u64(out->data + 8), ==, 0);
    g_assert_cmpuint(u32(out->data + 16), ==, 100);
    g_assert_cmpuint(u32(out->data + 20), ==, 1);

    g_assert_cmpuint(pcap_frame_size(PCAP_FORMAT_CLASSIC, 3), ==, 19);
    g_assert_cmpuint(pcap_write_frame(unit, PCAP_FORMAT_CLASSIC, &frame), ==,
                     19);
    g_assert_cmpuint(u32(unit), ==, 1234567890);
    g_assert_cmpuint(u32(unit + 4), ==, 123456);
    g_assert_cmpuint(u32(unit + 8), ==, 3);
    g_assert_cmpuint(u32(unit + 12), ==, 5);
    g_assert_cmpmem(unit + 16, 3, "fra", 3);
    g_assert_cmpuint(pcap_unit_size(PCAP_FORMAT_CLASSIC, unit), ==, 19);
    g_assert_true(pcap_unit_frame(PCAP_FORMAT_CLASSIC, unit, &len));
    g_assert_cmpuint(len, ==, 5);
    g_assert_cmpuint(
        pcap_write_statistics(unit, PCAP_FORMAT_CLASSIC, &statistics), ==, 0);
}

static void test_ng_header(void)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    PcapHeader header = {
        .format = PCAP_FORMAT_NG,
        .snaplen = 100,
        .hardware = "abacus",
        .os = "beads 1.0",
        .application = "test",
        .ifname = "tap0",
        .filter = "udp port 53",
    };
    const uint8_t *section, *interface;
    uint16_t length = 0;
    size_t snaplen_at = pcap_append_header(out, &header);

    section = out->data;
    check_block(section, 0x0a0d0d0a);
    g_assert_cmphex(u32(section + 8), ==, 0x1a2b3c4d);
    g_assert_cmpuint(u16(section + 12), ==, 1);
    g_assert_cmpuint(u16(section + 14), ==, 0);
    g_assert_cmphex(u64(section + 16), ==, UINT64_MAX);
    check_string(section, 24, 2, "abacus");
    check_string(section, 24, 3, "beads 1.0");
    check_string(section, 24, 4, "test");

    interface = section + u32(section + 4);
    check_block(interface, 1);
    g_assert_cmpuint(u16(interface + 8), ==, 1);
    g_assert_cmpuint(u32(interface + 12), ==, 100);
    g_assert_true(interface + 12 == out->data + snaplen_at);
    check_string(interface, 16, 2, "tap0");
    g_assert_cmpuint(*find_option(interface, 16, 9, &length), ==, 9);
    g_assert_cmpuint(length, ==, 1);
    g_assert_cmpmem(find_option(interface, 16, 11, &length), 12,
                    "\0udp port 53", 12);
    g_assert_cmpuint(length, ==, 12);
    g_assert_true(interface + u32(interface + 4) == out->data + out->len);
}

static void test_ng_bare(void)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    PcapHeader header = {.format = PCAP_FORMAT_NG, .snaplen = 1};

    pcap_append_header(out, &header);
    check_block(out->data, 0x0a0d0d0a);
    g_assert_cmpuint(u32(out->data + 4), ==, 32);
    check_block(out->data + 32, 1);
}

static void test_ng_frames(void)
{
    static const uint8_t bytes[] = "0123456789";
    int64_t time_ns = INT64_C(0x123456789abcdef0);
    uint8_t unit[64];

    for (uint32_t caplen = 0; caplen <= 10; caplen++) {
        PcapFrame frame = {.data = bytes,
                           .len = 10,
                           .caplen = caplen,
                           .outbound = caplen & 1,
                           .time_ns = time_ns};
        size_t size = pcap_write_frame(unit, PCAP_FORMAT_NG, &frame);
        uint16_t length = 0;
        uint32_t len;

        g_assert_cmpuint(size, ==, pcap_frame_size(PCAP_FORMAT_NG, caplen));
        g_assert_cmpuint(size, ==, u32(unit + 4));
        g_assert_cmpuint(size, ==, pcap_unit_size(PCAP_FORMAT_NG, unit));
        check_block(unit, 6);
        g_assert_cmpuint(u32(unit + 8), ==, 0);
        g_assert_cmphex(u32(unit + 12), ==, 0x12345678);
        g_assert_cmphex(u32(unit + 16), ==, 0x9abcdef0);
        g_assert_cmpuint(u32(unit + 20), ==, caplen);
        g_assert_cmpuint(u32(unit + 24), ==, 10);
        g_assert_cmpmem(unit + 28, caplen, bytes, caplen);
        g_assert_cmpuint(
            u32(find_option(unit, 28 + ((caplen + 3) & ~3u), 2, &length)), ==,
            caplen & 1 ? 2 : 1);
        g_assert_true(pcap_unit_frame(PCAP_FORMAT_NG, unit, &len));
        g_assert_cmpuint(len, ==, 10);
    }
}

static void test_ng_statistics(void)
{
    PcapStatistics statistics = {
        .start_ns = INT64_C(0x100000002),
        .end_ns = INT64_C(0x300000004),
        .received = 5000000000,
        .dropped = 7,
    };
    uint8_t unit[PCAP_STATISTICS_SIZE];
    size_t size = pcap_write_statistics(unit, PCAP_FORMAT_NG, &statistics);
    uint16_t length = 0;
    uint32_t len;

    check_block(unit, 5);
    g_assert_cmpuint(size, ==, pcap_unit_size(PCAP_FORMAT_NG, unit));
    g_assert_cmpuint(u32(unit + 12), ==, 3);
    g_assert_cmpuint(u32(unit + 16), ==, 4);
    g_assert_cmpuint(u32(find_option(unit, 20, 2, &length)), ==, 1);
    g_assert_cmpuint(u32(find_option(unit, 20, 3, &length)), ==, 3);
    g_assert_cmpuint(u64(find_option(unit, 20, 4, &length)), ==, 5000000000);
    g_assert_cmpuint(u64(find_option(unit, 20, 5, &length)), ==, 7);
    g_assert_false(pcap_unit_frame(PCAP_FORMAT_NG, unit, &len));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pcap/classic", test_classic);
    g_test_add_func("/pcap/ng-header", test_ng_header);
    g_test_add_func("/pcap/ng-bare", test_ng_bare);
    g_test_add_func("/pcap/ng-frames", test_ng_frames);
    g_test_add_func("/pcap/ng-statistics", test_ng_statistics);
    return g_test_run();
}
