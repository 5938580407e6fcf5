/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What comes out of packet_segment() is read back by code that shares nothing
 * with it, checksums included.
 */
#include "packet/checksum.h"
#include "packet/segment.h"

#include <string.h>

#include <glib.h>

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

enum { TCP = 6, UDP = 17 };
enum { FIN = 0x01, PSH = 0x08, ACK = 0x10, ECE = 0x40, CWR = 0x80 };

/* What a frame is to look like. */
typedef struct Shape {
    const char *name;
    bool ipv6;
    int protocol;
    int tags;         /* VLAN tags */
    int ip_extra;     /* IPv4 options or IPv6 extension headers, bytes */
    bool routing;     /* the last of these is a routing header */
    int tcp_options;  /* bytes */
    uint32_t payload; /* bytes */
    uint16_t size;    /* gso_size */
    uint8_t flags;    /* TCP */
    uint8_t gso_bits; /* beside the type */
} Shape;

typedef struct Frame {
    uint8_t *data; /* of exactly @len bytes, so that an overrun is seen */
    uint32_t len;
    uint32_t l3, l4, payload;
    uint8_t destination[16]; /* the one of the pseudo-header */
    struct virtio_net_hdr vnet;
} Frame;

static uint32_t get(const uint8_t *bytes, int n)
{
    uint32_t value = 0;

    while (n-- > 0) {
        value = value << 8 | *bytes++;
    }
    return value;
}

static void put(uint8_t *bytes, int n, uint32_t value)
{
    while (n-- > 0) {
        bytes[n] = (uint8_t)value;
        value >>= 8;
    }
}

/* The sum of big-endian words, folded: 0xffff for a field that is right. */
static uint32_t sum16(uint32_t sum, const uint8_t *bytes, uint32_t len)
{
    for (uint32_t i = 0; i < len; i++) {
        sum += i & 1 ? bytes[i] : (uint32_t)bytes[i] << 8;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

static uint32_t pseudo_sum(const Shape *shape, const uint8_t *ip,
                           const uint8_t *destination, uint32_t l4_len)
{
    int n = shape->ipv6 ? 16 : 4;
    uint8_t length[8] = {0};
    uint32_t sum;

    put(length, 4, l4_len);
    put(length + 4, 4, (uint32_t)shape->protocol);
    sum = sum16(0, ip + (shape->ipv6 ? 8 : 12), (uint32_t)n);
    sum = sum16(sum, destination, (uint32_t)n);
    return sum16(sum, length, 8);
}

static void fill_ipv4(const Shape *shape, Frame *frame)
{
    uint8_t *ip = frame->data + frame->l3;

    ip[0] = (uint8_t)(0x45 + shape->ip_extra / 4);
    ip[1] = 0x02; /* ECT(0) */
    put(ip + 2, 2, frame->len - frame->l3);
    put(ip + 4, 2, 0xfffe); /* wraps with the third segment */
    put(ip + 6, 2, 0x4000);
    ip[8] = 63;
    ip[9] = (uint8_t)shape->protocol;
    put(ip + 12, 4, 0xc0000201);
    put(ip + 16, 4, 0xc6336402);
    memset(ip + 20, 1, (size_t)shape->ip_extra); /* no-operation */
    put(ip + 10, 2, ~sum16(0, ip, frame->l4 - frame->l3));
    memcpy(frame->destination, ip + 16, 4);
}

static void fill_ipv6(const Shape *shape, Frame *frame)
{
    uint8_t *ip = frame->data + frame->l3;
    uint8_t *next = ip + 6;
    uint32_t at = frame->l3 + 40;

    put(ip, 4, 0x60012345);
    put(ip + 4, 2, frame->len - frame->l3 - 40);
    ip[7] = 64;
    for (int i = 0; i < 16; i++) {
        ip[8 + i] = (uint8_t)(0x20 + i);
        ip[24 + i] = (uint8_t)(0xf0 - i);
    }
    memcpy(frame->destination, ip + 24, 16);
    for (; at + (shape->routing ? 24 : 0) < frame->l4; at += 8) {
        *next = next == ip + 6 ? 0 : 60; /* hop-by-hop, destination options */
        next = frame->data + at;
        memcpy(next, "\0\0\1\4\0\0\0\0", 8);
    }
    if (shape->routing) {
        *next = 43;
        next = frame->data + at;
        memcpy(next, "\0\2\2\1\0\0\0\0", 8);
        memset(next + 8, 0x77, 16);
        memcpy(frame->destination, next + 8, 16);
    }
    *next = (uint8_t)shape->protocol;
}

static void fill_transport(const Shape *shape, Frame *frame)
{
    uint8_t *l4 = frame->data + frame->l4;
    bool tcp = shape->protocol == TCP;
    uint32_t l4_len = frame->len - frame->l4;

    put(l4, 2, 4321);
    put(l4 + 2, 2, 80);
    if (tcp) {
        put(l4 + 4, 4, 0xfffffc00); /* wraps soon */
        put(l4 + 8, 4, 0x01020304);
        l4[12] = (uint8_t)((5 + shape->tcp_options / 4) << 4);
        l4[13] = shape->flags;
        put(l4 + 14, 2, 501);
        memset(l4 + 20, 1, (size_t)shape->tcp_options);
    } else {
        put(l4 + 4, 2, l4_len);
    }
    put(l4 + (tcp ? 16 : 6), 2,
        pseudo_sum(shape, frame->data + frame->l3, frame->destination, l4_len));
    frame->vnet.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    frame->vnet.csum_start = (uint16_t)frame->l4;
    frame->vnet.csum_offset = tcp ? 16 : 6;
}

static Frame frame_make(const Shape *shape)
{
    bool tcp = shape->protocol == TCP;
    Frame frame = {.l3 = 14 + 4 * (uint32_t)shape->tags};

    frame.l4 = frame.l3 + (shape->ipv6 ? 40 : 20) + (uint32_t)shape->ip_extra;
    frame.payload = frame.l4 + (tcp ? 20 + (uint32_t)shape->tcp_options : 8);
    frame.len = frame.payload + shape->payload;
    frame.data = g_malloc0(frame.len);
    for (int i = 0; i < 12; i++) {
        frame.data[i] = (uint8_t)(2 + i * 2);
    }
    for (int i = 0; i < shape->tags; i++) {
        put(frame.data + 12 + 4 * i, 2, i + 1 < shape->tags ? 0x88a8 : 0x8100);
        put(frame.data + 14 + 4 * i, 2, 0x2000u + (uint32_t)i);
    }
    put(frame.data + frame.l3 - 2, 2, shape->ipv6 ? 0x86dd : 0x0800);
    if (shape->ipv6) {
        fill_ipv6(shape, &frame);
    } else {
        fill_ipv4(shape, &frame);
    }
    for (uint32_t i = 0; i < shape->payload; i++) {
        frame.data[frame.payload + i] = (uint8_t)(i * 31 + (i >> 8));
    }
    fill_transport(shape, &frame);
    frame.vnet.hdr_len = (uint16_t)frame.payload;
    frame.vnet.gso_size = shape->size;
    if (shape->size) {
        frame.vnet.gso_type = !tcp          ? VIRTIO_NET_HDR_GSO_UDP_L4
                              : shape->ipv6 ? VIRTIO_NET_HDR_GSO_TCPV6
                                            : VIRTIO_NET_HDR_GSO_TCPV4;
        frame.vnet.gso_type |= shape->gso_bits;
    }
    return frame;
}

static Packet frame_packet(const Frame *frame)
{
    return (Packet){
        .data = frame->data,
        .len = frame->len,
        .origin = ORIGIN_INJECTED,
        .time_ns = 42,
        .vnet = frame->vnet,
    };
}

typedef struct Check {
    const Shape *shape;
    const Frame *frame;
    uint32_t index, done;
} Check;

static void check_ip(const Check *check, const Packet *segment)
{
    const Frame *frame = check->frame;
    const uint8_t *ip = segment->data + frame->l3;
    const uint8_t *was = frame->data + frame->l3;

    if (check->shape->ipv6) {
        g_assert_cmpuint(get(ip + 4, 2), ==, segment->len - frame->l3 - 40);
        g_assert_cmpmem(ip, 4, was, 4);
        g_assert_cmpmem(ip + 6, frame->l4 - frame->l3 - 6, was + 6,
                        frame->l4 - frame->l3 - 6);
        return;
    }
    g_assert_cmpuint(get(ip + 2, 2), ==, segment->len - frame->l3);
    g_assert_cmpuint(get(ip + 4, 2), ==,
                     (get(was + 4, 2) + check->index) & 0xffff);
    g_assert_cmpuint(sum16(0, ip, frame->l4 - frame->l3), ==, 0xffff);
    g_assert_cmpmem(ip, 2, was, 2);
    g_assert_cmpmem(ip + 6, 4, was + 6, 4);
    g_assert_cmpmem(ip + 12, frame->l4 - frame->l3 - 12, was + 12,
                    frame->l4 - frame->l3 - 12);
}

static void check_transport(const Check *check, const Packet *segment,
                            bool last)
{
    const Frame *frame = check->frame;
    const uint8_t *l4 = segment->data + frame->l4;
    const uint8_t *was = frame->data + frame->l4;
    uint32_t l4_len = segment->len - frame->l4;
    uint8_t flags = check->shape->flags;

    g_assert_cmpuint(sum16(pseudo_sum(check->shape, segment->data + frame->l3,
                                      frame->destination, l4_len),
                           l4, l4_len),
                     ==, 0xffff);
    g_assert_cmpmem(l4, 4, was, 4);
    if (check->shape->protocol == UDP) {
        g_assert_cmpuint(get(l4 + 4, 2), ==, l4_len);
        return;
    }
    g_assert_cmpuint(get(l4 + 4, 4), ==, get(was + 4, 4) + check->done);
    g_assert_cmpmem(l4 + 8, 5, was + 8, 5);
    flags &= (uint8_t) ~(last ? 0 : FIN | PSH);
    flags &= (uint8_t) ~(check->index ? CWR : 0);
    g_assert_cmphex(l4[13], ==, flags);
    g_assert_cmpmem(l4 + 14, 2, was + 14, 2);
    g_assert_cmpmem(l4 + 18, frame->payload - frame->l4 - 18, was + 18,
                    frame->payload - frame->l4 - 18);
}

static void check_segment(void *opaque, const Packet *segment)
{
    Check *check = opaque;
    const Frame *frame = check->frame;
    uint32_t n = segment->len - frame->payload;
    bool last = check->done + n == check->shape->payload;

    g_assert_cmpuint(segment->len, >=, frame->payload);
    g_assert_cmpuint(check->done + n, <=, check->shape->payload);
    g_assert_true(last || n == check->shape->size);
    g_assert_false(packet_is_offloaded(segment));
    g_assert_cmpint(segment->time_ns, ==, 42);
    g_assert_cmpint(segment->origin, ==, ORIGIN_INJECTED);
    g_assert_cmpmem(segment->data, frame->l3, frame->data, frame->l3);
    check_ip(check, segment);
    check_transport(check, segment, last);
    g_assert_cmpmem(segment->data + frame->payload, n,
                    frame->data + frame->payload + check->done, n);
    check->done += n;
    check->index++;
}

static void ignore_segment(void *opaque, const Packet *segment)
{
    (*(unsigned *)opaque)++;
}

/* Segments the frame of @shape and returns the number. */
static unsigned check_shape(const Shape *shape)
{
    Frame frame = frame_make(shape);
    g_autofree uint8_t *scratch = g_malloc(PACKET_MAX_LEN);
    Packet packet = frame_packet(&frame);
    Check check = {.shape = shape, .frame = &frame};
    unsigned n = packet_segment(&packet, scratch, check_segment, &check);

    g_assert_cmpuint(n, ==, check.index);
    g_assert_cmpuint(check.done, ==, n ? shape->payload : 0);
    g_free(frame.data);
    return n;
}

static const Shape shapes[] = {
    {.name = "tcp4",
     .protocol = TCP,
     .payload = 4000,
     .size = 1448,
     .flags = ACK | FIN | PSH},
    {.name = "tcp4-exact",
     .protocol = TCP,
     .payload = 4344,
     .size = 1448,
     .flags = ACK | PSH,
     .tcp_options = 12},
    {.name = "tcp4-ip-options",
     .protocol = TCP,
     .payload = 65000,
     .size = 1400,
     .flags = ACK,
     .ip_extra = 40,
     .tcp_options = 40},
    {.name = "tcp4-ecn",
     .protocol = TCP,
     .payload = 5000,
     .size = 999,
     .flags = ACK | CWR | ECE,
     .gso_bits = VIRTIO_NET_HDR_GSO_ECN},
    {.name = "tcp4-small",
     .protocol = TCP,
     .payload = 100,
     .size = 1448,
     .flags = ACK | FIN | PSH | CWR,
     .gso_bits = VIRTIO_NET_HDR_GSO_ECN},
    {.name = "tcp4-empty", .protocol = TCP, .size = 1448, .flags = ACK | FIN},
    {.name = "tcp4-single-bytes",
     .protocol = TCP,
     .payload = 300,
     .size = 1,
     .flags = ACK | FIN | PSH},
    {.name = "tcp4-vlan",
     .protocol = TCP,
     .payload = 3001,
     .size = 1000,
     .flags = ACK,
     .tags = 1},
    {.name = "tcp6",
     .ipv6 = true,
     .protocol = TCP,
     .payload = 4001,
     .size = 1428,
     .flags = ACK | FIN | PSH},
    {.name = "tcp6-qinq",
     .ipv6 = true,
     .protocol = TCP,
     .payload = 60000,
     .size = 1428,
     .flags = ACK,
     .tags = 2,
     .tcp_options = 12},
    {.name = "tcp6-extensions",
     .ipv6 = true,
     .protocol = TCP,
     .payload = 9999,
     .size = 1300,
     .flags = ACK | PSH,
     .ip_extra = 16},
    {.name = "tcp6-routing",
     .ipv6 = true,
     .protocol = TCP,
     .payload = 9998,
     .size = 1300,
     .flags = ACK | PSH,
     .ip_extra = 32,
     .routing = true},
    {.name = "udp4", .protocol = UDP, .payload = 5001, .size = 1200},
    {.name = "udp4-vlan",
     .protocol = UDP,
     .payload = 5000,
     .size = 1000,
     .tags = 1},
    {.name = "udp6",
     .ipv6 = true,
     .protocol = UDP,
     .payload = 65400,
     .size = 1452},
    {.name = "udp6-extensions",
     .ipv6 = true,
     .protocol = UDP,
     .payload = 3333,
     .size = 1111,
     .ip_extra = 8,
     .tags = 2},
    {.name = "udp4-odd", .protocol = UDP, .payload = 1001, .size = 333},
};

static void test_gso(gconstpointer data)
{
    const Shape *shape = data;
    uint32_t n = (shape->payload + shape->size - 1) / shape->size;

    g_assert_cmpuint(check_shape(shape), ==, MAX(n, 1));
}

static void test_gso_random(void)
{
    for (int i = 0; i < 3000; i++) {
        Shape shape = {
            .ipv6 = g_test_rand_bit(),
            .protocol = g_test_rand_bit() ? TCP : UDP,
            .tags = g_test_rand_int_range(0, 3),
            .payload = (uint32_t)g_test_rand_int_range(0, 9000),
            .size = (uint16_t)g_test_rand_int_range(8, 3000),
            .flags = (uint8_t)g_test_rand_int(),
            .tcp_options = 4 * g_test_rand_int_range(0, 11),
            .gso_bits = g_test_rand_bit() ? VIRTIO_NET_HDR_GSO_ECN : 0,
        };

        shape.ip_extra = shape.ipv6 ? 8 * g_test_rand_int_range(0, 4)
                                    : 4 * g_test_rand_int_range(0, 11);
        g_assert_cmpuint(check_shape(&shape), >, 0);
    }
}

/* Without NEEDS_CSUM (a frame that was put together on reception) the headers
 * alone have to do; a UDP checksum that is switched off stays off. */
static void test_gso_valid_checksum(void)
{
    g_autofree uint8_t *scratch = g_malloc(PACKET_MAX_LEN);

    for (size_t i = 0; i < G_N_ELEMENTS(shapes); i++) {
        Frame frame = frame_make(&shapes[i]);
        Packet packet = frame_packet(&frame);
        Check check = {.shape = &shapes[i], .frame = &frame};
        bool routed = shapes[i].ipv6 && shapes[i].ip_extra;

        packet.vnet.flags = VIRTIO_NET_HDR_F_DATA_VALID;
        packet.vnet.csum_start = 0;
        g_assert_cmpuint(
            packet_segment(&packet, scratch, check_segment, &check) == 0, ==,
            routed);
        g_free(frame.data);
    }
}

static void check_no_checksum(void *opaque, const Packet *segment)
{
    g_assert_cmpuint(get(segment->data + 14 + 20 + 6, 2), ==, 0);
}

static void test_udp_without_checksum(void)
{
    static const Shape shape = {.protocol = UDP, .payload = 500, .size = 100};
    g_autofree uint8_t *scratch = g_malloc(PACKET_MAX_LEN);
    Frame frame = frame_make(&shape);
    Packet packet = frame_packet(&frame);

    packet.vnet.flags = 0;
    put(frame.data + frame.l4 + 6, 2, 0);
    g_assert_cmpuint(packet_segment(&packet, scratch, check_no_checksum, NULL),
                     ==, 5);
    g_free(frame.data);
}

static void check_same(void *opaque, const Packet *segment)
{
    const Packet *packet = opaque;

    g_assert_true(segment->data == packet->data);
    g_assert_cmpuint(segment->len, ==, packet->len);
    g_assert_cmpuint(segment->vnet.flags, ==, VIRTIO_NET_HDR_F_DATA_VALID);
    g_assert_cmpuint(segment->vnet.hdr_len, ==, 0);
}

static void test_plain(void)
{
    static const uint8_t bytes[60] = {1, 2, 3};
    Packet packet = {
        .data = bytes,
        .len = sizeof(bytes),
        .vnet = {.flags = VIRTIO_NET_HDR_F_DATA_VALID, .hdr_len = 9},
    };
    uint8_t scratch[1];

    g_assert_cmpuint(packet_segment(&packet, scratch, check_same, &packet), ==,
                     1);
}

static void test_checksum_only(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(shapes); i++) {
        Shape shape = shapes[i];

        shape.size = 0;
        g_assert_cmpuint(check_shape(&shape), ==, 1);
    }
}

static void check_zero(void *opaque, const Packet *segment)
{
    g_assert_cmphex(get(segment->data + 14 + 20 + 6, 2), ==, 0xffff);
}

/* A checksum that comes out as zero is sent as 0xffff. */
static void test_checksum_zero(void)
{
    static const Shape shape = {.protocol = UDP, .payload = 2};
    g_autofree uint8_t *scratch = g_malloc(PACKET_MAX_LEN);
    Frame frame = frame_make(&shape);
    Packet packet = frame_packet(&frame);

    put(frame.data + frame.payload, 2, 0);
    put(frame.data + frame.payload, 2,
        0xffff - sum16(0, frame.data + frame.l4, frame.len - frame.l4));
    g_assert_cmpuint(packet_segment(&packet, scratch, check_zero, NULL), ==, 1);
    g_free(frame.data);
}

/* RFC 1071, section 3: the example; and every length and alignment. */
static void test_checksum(void)
{
    static const uint8_t example[] = {0x00, 0x01, 0xf2, 0x03,
                                      0xf4, 0xf5, 0xf6, 0xf7};
    uint8_t bytes[64];
    uint8_t field[2];

    checksum_store(checksum_add(0, example, sizeof(example)), field);
    g_assert_cmphex(get(field, 2), ==, 0xffff - 0xddf2);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)g_test_rand_int();
    }
    for (uint32_t from = 0; from < 8; from++) {
        for (uint32_t n = 1; n < sizeof(bytes) - from; n++) {
            uint32_t expected = 0xffff - sum16(0, bytes + from, n);

            checksum_store(checksum_add(0, bytes + from, n), field);
            g_assert_cmphex(get(field, 2), ==, expected ? expected : 0xffff);
        }
    }
}

static unsigned count_segments(const Packet *packet)
{
    g_autofree uint8_t *scratch = g_malloc(PACKET_MAX_LEN);
    unsigned called = 0;
    unsigned n = packet_segment(packet, scratch, ignore_segment, &called);

    g_assert_cmpuint(n, ==, called);
    return n;
}

/* What has to be refused, each made from a frame that is good. */
static void test_refused(void)
{
    static const Shape tcp = {.protocol = TCP, .payload = 4000, .size = 1000};
    Frame frame = frame_make(&tcp);
    const Packet good = frame_packet(&frame);
    const struct {
        const char *name;
        struct virtio_net_hdr vnet;
    } rows[] = {
        /* flags, type, header length, size, start and offset of checksum */
        {"ufo", {1, 3, 0, 1000, 34, 16}},
        {"other family", {1, 4, 0, 1000, 34, 16}},
        {"other protocol", {1, 5, 0, 1000, 34, 16}},
        {"tunnel", {1, 0x21, 0, 1000, 34, 16}},
        {"unknown", {1, 2, 0, 1000, 34, 16}},
        {"ecn alone", {1, 0x80, 0, 1000, 34, 16}},
        {"no size", {1, 1, 0, 0, 34, 16}},
        {"start", {1, 1, 0, 1000, 36, 16}},
        {"start beyond", {1, 1, 0, 1000, 65535, 16}},
        {"offset", {1, 1, 0, 1000, 34, 6}},
        {"header longer than frame", {1, 1, 4055, 1000, 34, 16}},
        {"checksum beyond", {1, 0, 0, 0, 4038, 16}},
        {"checksum at the end", {1, 0, 0, 0, 4037, 16}},
        {"checksum far beyond", {1, 0, 0, 0, 65535, 65535}},
        {"sctp", {1, 0, 0, 0, 34, 8}},
    };

    g_assert_cmpuint(count_segments(&good), ==, 4);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        Packet packet = good;

        packet.vnet = rows[i].vnet;
        g_test_message("%s", rows[i].name);
        g_assert_cmpuint(count_segments(&packet), ==, 0);
    }
    g_free(frame.data);
}

static void refuse_changed(const Shape *shape, uint32_t at, uint8_t value)
{
    Frame frame = frame_make(shape);
    Packet packet = frame_packet(&frame);

    frame.data[at] = value;
    g_assert_cmpuint(count_segments(&packet), ==, 0);
    g_free(frame.data);
}

/* Likewise, with one byte of the frame changed. */
static void test_refused_frames(void)
{
    static const Shape tcp4 = {.protocol = TCP, .payload = 4000, .size = 1000};
    static const Shape tcp6 = {.ipv6 = true,
                               .protocol = TCP,
                               .payload = 4000,
                               .size = 1000,
                               .ip_extra = 8};
    static const Shape tiny = {.protocol = TCP, .payload = 60000, .size = 1};

    refuse_changed(&tcp4, 12, 0x09);         /* no IP */
    refuse_changed(&tcp4, 14, 0x65);         /* version */
    refuse_changed(&tcp4, 14, 0x44);         /* header length below 20 */
    refuse_changed(&tcp4, 14, 0x46);         /* not where csum_start says */
    refuse_changed(&tcp4, 20, 0x20);         /* more fragments */
    refuse_changed(&tcp4, 21, 0x01);         /* fragment offset */
    refuse_changed(&tcp4, 23, 17);           /* UDP */
    refuse_changed(&tcp4, 34 + 12, 4 << 4);  /* TCP header below 20 */
    refuse_changed(&tcp6, 14, 0x40);         /* version */
    refuse_changed(&tcp6, 14 + 6, 44);       /* fragment header */
    refuse_changed(&tcp6, 14 + 6, 59);       /* no next header */
    refuse_changed(&tcp6, 14 + 40 + 1, 255); /* extension beyond */
    g_assert_cmpuint(check_shape(&tiny), ==, 0);
}

/* Cut off anywhere in its headers, a frame is refused or comes out whole. */
static void test_truncated(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(shapes); i++) {
        Frame frame = frame_make(&shapes[i]);

        for (uint32_t n = 0; n < frame.payload; n++) {
            g_autofree uint8_t *data = g_memdup2(frame.data, n);
            Packet packet = frame_packet(&frame);

            packet.data = data;
            packet.len = n;
            packet.vnet.hdr_len = 0;
            g_assert_cmpuint(count_segments(&packet), ==, 0);
        }
        g_free(frame.data);
    }
}

static void random_vnet(struct virtio_net_hdr *vnet)
{
    static const uint8_t types[] = {0, 1, 3, 4, 5, 0x81, 0x84, 0x85};

    vnet->flags = (uint8_t)g_test_rand_int_range(0, 8);
    vnet->gso_type = types[g_test_rand_int_range(0, G_N_ELEMENTS(types))];
    vnet->hdr_len = (uint16_t)g_test_rand_int_range(0, 200);
    vnet->gso_size = (uint16_t)g_test_rand_int_range(0, 3000);
    if (g_test_rand_bit()) {
        vnet->csum_start = (uint16_t)g_test_rand_int_range(0, 200);
        vnet->csum_offset = (uint16_t)g_test_rand_int_range(0, 20);
    }
}

static void count_sane(void *opaque, const Packet *segment)
{
    (*(unsigned *)opaque)++;
    g_assert_cmpuint(segment->len, <=, PACKET_MAX_LEN);
    g_assert_false(packet_is_offloaded(segment));
}

/* Random headers on random bytes and on frames with some bytes changed: for
 * the sanitizers; every buffer is as long as what is in it. */
static void test_hostile(void)
{
    g_autofree uint8_t *scratch = g_malloc(PACKET_MAX_LEN);

    for (int i = 0; i < 30000; i++) {
        Shape shape = shapes[i % G_N_ELEMENTS(shapes)];
        Frame frame;
        Packet packet;
        unsigned called = 0;

        shape.payload = (uint32_t)g_test_rand_int_range(0, 300);
        frame = frame_make(&shape);
        packet = frame_packet(&frame);
        if (i % 3 != 0) {
            random_vnet(&packet.vnet);
        }
        for (int j = g_test_rand_int_range(0, 6); j > 0; j--) {
            frame.data[g_test_rand_int_range(0, (int)MIN(frame.len, 120))] =
                (uint8_t)g_test_rand_int();
        }
        for (uint32_t j = 14; i % 5 == 0 && j < frame.len; j++) {
            frame.data[j] = (uint8_t)g_test_rand_int();
        }
        g_assert_cmpuint(packet_segment(&packet, scratch, count_sane, &called),
                         ==, called);
        g_free(frame.data);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/segment/checksum", test_checksum);
    for (size_t i = 0; i < G_N_ELEMENTS(shapes); i++) {
        g_autofree char *name =
            g_strconcat("/segment/gso/", shapes[i].name, NULL);

        g_test_add_data_func(name, &shapes[i], test_gso);
    }
    g_test_add_func("/segment/gso-random", test_gso_random);
    g_test_add_func("/segment/gso-valid-checksum", test_gso_valid_checksum);
    g_test_add_func("/segment/udp-without-checksum", test_udp_without_checksum);
    g_test_add_func("/segment/plain", test_plain);
    g_test_add_func("/segment/checksum-only", test_checksum_only);
    g_test_add_func("/segment/checksum-zero", test_checksum_zero);
    g_test_add_func("/segment/refused", test_refused);
    g_test_add_func("/segment/refused-frames", test_refused_frames);
    g_test_add_func("/segment/truncated", test_truncated);
    g_test_add_func("/segment/hostile", test_hostile);
    return g_test_run();
}
