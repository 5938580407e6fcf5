/* SPDX-License-Identifier: BSD-2-Clause */
#include "shaped-frame.h"

#include <string.h>

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

const Shape shapes[SHAPES] = {
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

uint32_t bytes_get(const uint8_t *bytes, int n)
{
    uint32_t value = 0;

    while (n-- > 0) {
        value = value << 8 | *bytes++;
    }
    return value;
}

void bytes_put(uint8_t *bytes, int n, uint32_t value)
{
    while (n-- > 0) {
        bytes[n] = (uint8_t)value;
        value >>= 8;
    }
}

uint32_t bytes_sum16(uint32_t sum, const uint8_t *bytes, uint32_t len)
{
    for (uint32_t i = 0; i < len; i++) {
        sum += i & 1 ? bytes[i] : (uint32_t)bytes[i] << 8;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

uint32_t frame_pseudo_sum(const Shape *shape, const uint8_t *ip,
                          const uint8_t *destination, uint32_t l4_len)
{
    int n = shape->ipv6 ? 16 : 4;
    uint8_t length[8] = {0};
    uint32_t sum;

    bytes_put(length, 4, l4_len);
    bytes_put(length + 4, 4, (uint32_t)shape->protocol);
    sum = bytes_sum16(0, ip + (shape->ipv6 ? 8 : 12), (uint32_t)n);
    sum = bytes_sum16(sum, destination, (uint32_t)n);
    return bytes_sum16(sum, length, 8);
}

static void fill_ipv4(const Shape *shape, Frame *frame)
{
    uint8_t *ip = frame->data + frame->l3;

    ip[0] = (uint8_t)(0x45 + shape->ip_extra / 4);
    ip[1] = 0x02; /* ECT(0) */
    bytes_put(ip + 2, 2, frame->len - frame->l3);
    bytes_put(ip + 4, 2, 0xfffe); /* wraps with the third segment */
    bytes_put(ip + 6, 2, 0x4000);
    ip[8] = 63;
    ip[9] = (uint8_t)shape->protocol;
    bytes_put(ip + 12, 4, 0xc0000201);
    bytes_put(ip + 16, 4, 0xc6336402);
    memset(ip + 20, 1, (size_t)shape->ip_extra); /* no-operation */
    bytes_put(ip + 10, 2, ~bytes_sum16(0, ip, frame->l4 - frame->l3));
    memcpy(frame->destination, ip + 16, 4);
}

static void fill_ipv6(const Shape *shape, Frame *frame)
{
    uint8_t *ip = frame->data + frame->l3;
    uint8_t *next = ip + 6;
    uint32_t at = frame->l3 + 40;

    bytes_put(ip, 4, 0x60012345);
    bytes_put(ip + 4, 2, frame->len - frame->l3 - 40);
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

    bytes_put(l4, 2, 4321);
    bytes_put(l4 + 2, 2, 80);
    if (tcp) {
        bytes_put(l4 + 4, 4, 0xfffffc00); /* wraps soon */
        bytes_put(l4 + 8, 4, 0x01020304);
        l4[12] = (uint8_t)((5 + shape->tcp_options / 4) << 4);
        l4[13] = shape->flags;
        bytes_put(l4 + 14, 2, 501);
        memset(l4 + 20, 1, (size_t)shape->tcp_options);
    } else {
        bytes_put(l4 + 4, 2, l4_len);
    }
    bytes_put(l4 + (tcp ? 16 : 6), 2,
              frame_pseudo_sum(shape, frame->data + frame->l3,
                               frame->destination, l4_len));
    frame->vnet.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    frame->vnet.csum_start = (uint16_t)frame->l4;
    frame->vnet.csum_offset = tcp ? 16 : 6;
}

Frame frame_make(const Shape *shape)
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
        bytes_put(frame.data + 12 + 4 * i, 2,
                  i + 1 < shape->tags ? 0x88a8 : 0x8100);
        bytes_put(frame.data + 14 + 4 * i, 2, 0x2000u + (uint32_t)i);
    }
    bytes_put(frame.data + frame.l3 - 2, 2, shape->ipv6 ? 0x86dd : 0x0800);
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

Packet frame_packet(const Frame *frame)
{
    return (Packet){
        .data = frame->data,
        .len = frame->len,
        .origin = ORIGIN_INJECTED,
        .time_ns = 42,
        .vnet = frame->vnet,
    };
}
