/* SPDX-License-Identifier: BSD-2-Clause */
/* Announcements, byte for byte, by the RFCs' figures. */
#include "wire/announce-frame.h"

#include "packet/checksum.h"

#include <string.h>

#include <arpa/inet.h>
#include <glib.h>

#define MAC 0x52, 0x54, 0x00, 0x12, 0x34, 0x56
#define ADDRESS                                                                \
    0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0x50, 0x54, 0, 0xff, 0xfe, 0x12, 0x34, 0x56

static const AnnounceSender plain = {.mac = {MAC}};
static const AnnounceSender tagged = {.mac = {MAC}, .vlan = 0x123};

/* @frame is @expected, padded with zeros to @len bytes. */
static void check(const uint8_t *frame, size_t len, const uint8_t *expected,
                  size_t size, size_t padded)
{
    g_assert_cmpuint(len, ==, padded);
    g_assert_cmpmem(frame, size, expected, size);
    for (size_t i = size; i < len; i++) {
        g_assert_cmpuint(frame[i], ==, 0);
    }
}

static void test_rarp(void)
{
    static const uint8_t expected[] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, MAC, 0x80, 0x35, 0,
        1,    8,    0,    6,    4,    0,    3, /* Ethernet, IPv4, request */
        MAC,  0,    0,    0,    0,    MAC,  0,   0,    0,    0, /* who am I */
    };
    uint8_t frame[ANNOUNCE_FRAME_MAX];

    check(frame, announce_rarp(&plain, frame), expected, sizeof(expected), 60);
}

static void test_arp(void)
{
    static const uint8_t expected[] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, MAC, 0x81, 0,  0x01, 0x23, 8,
        6,    0,    1,    8,    0,    6,    4,   0,    1,  MAC,  10,   0,
        0,    9,    0,    0,    0,    0,    0,   0,    10, 0,    0,    9,
    };
    uint8_t frame[ANNOUNCE_FRAME_MAX];
    struct in_addr address = {htonl(0x0a000009)};

    check(frame, announce_arp(&tagged, &address, frame), expected,
          sizeof(expected), 64);
}

/* The ICMPv6 message at @message, with its check sum, sums up to zero. */
static void check_sum(const uint8_t *ip, size_t size)
{
    uint8_t ends[8] = {[3] = (uint8_t)size, [7] = 58};
    uint64_t sum = checksum_add(0, ip + 8, 32);
    uint16_t rest;

    sum = checksum_add(sum, ends, sizeof(ends));
    sum = checksum_add(sum, ip + 40, size);
    checksum_store(sum, &rest);
    g_assert_cmphex(rest, ==, 0xffff);
}

static void check_na(const AnnounceSender *sender, uint8_t flags)
{
    const uint8_t expected[] = {
        0x33, 0x33, 0,  0,  0,   1,       MAC,  0x86, 0xdd, 0x60, 0,   0,
        0,    0,    32, 58, 255, ADDRESS, 0xff, 0x02, 0,    0,    0,   0,
        0,    0,    0,  0,  0,   0,       0,    0,    0,    1,    136, 0,
    };
    const uint8_t body[] = {flags, 0, 0, 0, ADDRESS, 2, 1, MAC};
    uint8_t frame[ANNOUNCE_FRAME_MAX];
    struct in6_addr address = {.s6_addr = {ADDRESS}};

    g_assert_cmpuint(announce_na(sender, &address, frame), ==, 86);
    g_assert_cmpmem(frame, sizeof(expected), expected, sizeof(expected));
    g_assert_cmpmem(frame + 58, 28, body, sizeof(body));
    check_sum(frame + 14, 32);
}

static void test_na(void)
{
    AnnounceSender router = plain;
    struct in6_addr address = {.s6_addr = {ADDRESS}};
    uint8_t frame[ANNOUNCE_FRAME_MAX];

    check_na(&plain, 0x20);
    router.router = true;
    check_na(&router, 0xa0);
    g_assert_cmpuint(announce_na(&tagged, &address, frame), ==, 90);
    g_assert_cmpuint(frame[16], ==, 0x86);
    check_sum(frame + 18, 32);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/announce-frame/rarp", test_rarp);
    g_test_add_func("/announce-frame/arp", test_arp);
    g_test_add_func("/announce-frame/na", test_na);
    return g_test_run();
}
