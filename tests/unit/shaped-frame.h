/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames made to a shape, as a sender with offloads hands them over, and the
 * means to read back what was made of them. It shares nothing with the code
 * that is tested, checksums included.
 */
#ifndef TF_TESTS_SHAPED_FRAME_H
#define TF_TESTS_SHAPED_FRAME_H

#include "packet/packet.h"

#include <glib.h>

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

/* One of every kind. */
#define SHAPES 17
extern const Shape shapes[SHAPES];

typedef struct Frame {
    uint8_t *data; /* of exactly @len bytes, so that an overrun is seen */
    uint32_t len;
    uint32_t l3, l4, payload;
    uint8_t destination[16]; /* the one of the pseudo-header */
    struct virtio_net_hdr vnet;
} Frame;

/* Big-endian, of @n bytes. */
uint32_t bytes_get(const uint8_t *bytes, int n);
void bytes_put(uint8_t *bytes, int n, uint32_t value);

/* The sum of big-endian words, folded: 0xffff for a field that is right. */
uint32_t bytes_sum16(uint32_t sum, const uint8_t *bytes, uint32_t len);

/* Likewise of the pseudo-header of a frame of @shape. */
uint32_t frame_pseudo_sum(const Shape *shape, const uint8_t *ip,
                          const uint8_t *destination, uint32_t l4_len);

/* The caller frees its data. */
Frame frame_make(const Shape *shape);

/* As a packet, which lends its data. */
Packet frame_packet(const Frame *frame);

#endif
