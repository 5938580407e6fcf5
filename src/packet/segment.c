/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every offset comes from the frame's own headers. What the virtio-net header
 * says about them is only compared: it comes from a guest or from a peer.
 */
#include "packet/segment.h"

#include "packet/checksum.h"

#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <string.h>

#include <glib.h>

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5 /* linux/virtio_net.h since 6.2 */
#endif

#define VLAN_STAG 0x88a8 /* IEEE 802.1ad */
#define VLAN_DEPTH_MAX 2
#define VLAN_TAG_LEN 4

#define IPV4_HEADER_LEN 20
#define IPV6_HEADER_LEN 40
#define IP_LEN_MAX 65535

#define TCP_HEADER_LEN 20
#define TCP_CHECKSUM 16
#define TCP_FIN 0x01
#define TCP_PSH 0x08
#define TCP_CWR 0x80

#define UDP_HEADER_LEN 8
#define UDP_CHECKSUM 6

#define SCTP_CHECKSUM 8

/* A full frame's worth at the smallest MTU of IP, 68 (RFC 791), where IP, TCP
 * and 12 bytes of options leave 16. A guest or a peer that asks for more is
 * after our time. */
#define SEGMENTS_MAX 4096

/* A super-frame, taken apart. */
typedef struct SegmentJob {
    const Packet *packet;
    uint8_t *out;
    uint32_t l3;      /* offset of the IP header */
    uint32_t l4;      /* of the TCP or UDP header */
    uint32_t payload; /* of what is to be cut */
    uint8_t protocol;
    bool ipv6;
    bool extended;        /* IPv6 with extension headers */
    bool no_checksum;     /* UDP over IPv4 without one stays without */
    uint64_t pseudo;      /* sum of the pseudo-header without the length */
    uint32_t payload_len; /* of all segments together */
    uint32_t size;        /* of each but the last */
} SegmentJob;

static uint16_t segment_get16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static void segment_put16(uint8_t *bytes, uint32_t value)
{
    bytes[0] = (uint8_t)(value >> 8);
    bytes[1] = (uint8_t)value;
}

static uint32_t segment_get32(const uint8_t *bytes)
{
    return (uint32_t)segment_get16(bytes) << 16 | segment_get16(bytes + 2);
}

static void segment_put32(uint8_t *bytes, uint32_t value)
{
    segment_put16(bytes, value >> 16);
    segment_put16(bytes + 2, value);
}

/* Are there @n bytes at @offset? */
static bool segment_has(const SegmentJob *job, uint32_t offset, uint32_t n)
{
    return offset <= job->packet->len && n <= job->packet->len - offset;
}

static bool segment_needs_checksum(const SegmentJob *job)
{
    return job->packet->vnet.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;
}

/* Finds the IP header behind the VLAN tags; false if it is no IP. */
static bool segment_find_ip(SegmentJob *job)
{
    const uint8_t *data = job->packet->data;
    uint32_t type_at = 2 * ETHER_ADDR_LEN;
    uint16_t type = 0;

    for (int depth = 0; depth <= VLAN_DEPTH_MAX; depth++) {
        if (!segment_has(job, type_at, 2)) {
            return false;
        }
        type = segment_get16(data + type_at);
        if (type != ETHERTYPE_VLAN && type != VLAN_STAG) {
            break;
        }
        type_at += VLAN_TAG_LEN;
    }
    job->l3 = type_at + 2;
    job->ipv6 = type == ETHERTYPE_IPV6;
    return job->ipv6 || type == ETHERTYPE_IP;
}

static bool segment_parse_ipv4(SegmentJob *job)
{
    const uint8_t *ip = job->packet->data + job->l3;
    uint32_t header_len;

    if (!segment_has(job, job->l3, IPV4_HEADER_LEN) || ip[0] >> 4 != 4) {
        return false;
    }
    header_len = (ip[0] & 0xfu) * 4;
    /* A fragment (offset or "more" set) can't hold a whole transport header
     * and its payload. */
    if (header_len < IPV4_HEADER_LEN ||
        !segment_has(job, job->l3, header_len) ||
        segment_get16(ip + 6) & 0x3fff) {
        return false;
    }
    job->l4 = job->l3 + header_len;
    job->protocol = ip[9];
    job->pseudo = checksum_add(htons(job->protocol), ip + 12, 8);
    return true;
}

/* Length of the IPv6 extension header of type @type at @ext, 8 bytes of which
 * are there; 0 if it is none, or one that ends what can be taken apart. */
static uint32_t segment_ipv6_extension_len(uint8_t type, const uint8_t *ext)
{
    switch (type) {
    case IPPROTO_HOPOPTS:
    case IPPROTO_ROUTING:
    case IPPROTO_DSTOPTS:
    case IPPROTO_MH:
        return (ext[1] + 1u) * 8; /* RFC 8200, 4.3; RFC 6275, 6.1.1 */
    case IPPROTO_AH:
        return (ext[1] + 2u) * 4; /* RFC 4302, 2.2 */
    default:
        return 0;
    }
}

static bool segment_parse_ipv6(SegmentJob *job)
{
    const uint8_t *data = job->packet->data;
    const uint8_t *ip = data + job->l3;

    if (!segment_has(job, job->l3, IPV6_HEADER_LEN) || ip[0] >> 4 != 6) {
        return false;
    }
    job->protocol = ip[6];
    job->l4 = job->l3 + IPV6_HEADER_LEN;
    while (job->protocol != IPPROTO_TCP && job->protocol != IPPROTO_UDP) {
        uint32_t n = 0;

        if (segment_has(job, job->l4, 8)) {
            n = segment_ipv6_extension_len(job->protocol, data + job->l4);
        }
        if (n == 0) {
            return false;
        }
        job->extended = true;
        job->protocol = data[job->l4];
        job->l4 += n;
    }
    job->pseudo = checksum_add(htons(job->protocol), ip + 8, 32);
    return true;
}

/* The transport header; sets where the payload begins. */
static bool segment_parse_transport(SegmentJob *job)
{
    const uint8_t *data = job->packet->data;
    const struct virtio_net_hdr *vnet = &job->packet->vnet;
    bool tcp = job->protocol == IPPROTO_TCP;
    uint32_t field = tcp ? TCP_CHECKSUM : UDP_CHECKSUM;
    uint32_t header_len = tcp ? TCP_HEADER_LEN : UDP_HEADER_LEN;

    if (!segment_has(job, job->l4, header_len)) {
        return false;
    }
    if (tcp) {
        header_len = (data[job->l4 + 12] >> 4) * 4u;
    }
    if (header_len < (tcp ? TCP_HEADER_LEN : UDP_HEADER_LEN) ||
        !segment_has(job, job->l4, header_len)) {
        return false;
    }
    job->payload = job->l4 + header_len;
    job->payload_len = job->packet->len - job->payload;
    if (!segment_needs_checksum(job)) {
        job->no_checksum =
            !tcp && !job->ipv6 && segment_get16(data + job->l4 + field) == 0;
        /* Its destination is in a routing header, perhaps. */
        return !job->extended;
    }
    if (vnet->csum_start != job->l4 || vnet->csum_offset != field) {
        return false;
    }
    if (job->extended) {
        /* The sender has summed the pseudo-header, with the addresses that a
         * routing or mobility header puts there: take off the length of the
         * whole and keep the rest. */
        uint32_t len = job->packet->len - job->l4;
        uint16_t sum;

        memcpy(&sum, data + job->l4 + field, sizeof(sum));
        job->pseudo = (uint64_t)sum + (uint16_t)~htons((uint16_t)len) +
                      (uint16_t)~htons((uint16_t)(len >> 16));
    }
    return true;
}

/* Does the type of the virtio-net header fit what the frame is? */
static bool segment_type_fits(const SegmentJob *job)
{
    switch (job->packet->vnet.gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
    case VIRTIO_NET_HDR_GSO_TCPV4:
        return job->protocol == IPPROTO_TCP && !job->ipv6;
    case VIRTIO_NET_HDR_GSO_TCPV6:
        return job->protocol == IPPROTO_TCP && job->ipv6;
    case VIRTIO_NET_HDR_GSO_UDP_L4:
        return job->protocol == IPPROTO_UDP;
    default:
        /* VIRTIO_NET_HDR_GSO_UDP, which asks for IP fragments, among them:
         * Linux gave it up with 4.14. */
        return false;
    }
}

static bool segment_parse(SegmentJob *job)
{
    uint32_t longest;

    job->size = job->packet->vnet.gso_size;
    if (job->size == 0 || job->packet->vnet.hdr_len > job->packet->len ||
        !segment_find_ip(job) ||
        !(job->ipv6 ? segment_parse_ipv6(job) : segment_parse_ipv4(job)) ||
        !segment_type_fits(job) || !segment_parse_transport(job)) {
        return false;
    }
    longest = job->payload - job->l3 + MIN(job->size, job->payload_len);
    return longest - (job->ipv6 ? IPV6_HEADER_LEN : 0) <= IP_LEN_MAX;
}

static void segment_fill_ip(const SegmentJob *job, unsigned index, uint32_t n)
{
    uint8_t *ip = job->out + job->l3;
    uint32_t len = job->payload - job->l3 + n;

    if (job->ipv6) {
        segment_put16(ip + 4, len - IPV6_HEADER_LEN);
        return;
    }
    segment_put16(ip + 2, len);
    segment_put16(ip + 4,
                  segment_get16(job->packet->data + job->l3 + 4) + index);
    segment_put16(ip + 10, 0);
    checksum_store(checksum_add(0, ip, job->l4 - job->l3), ip + 10);
}

static void segment_fill_tcp(const SegmentJob *job, uint32_t done, uint32_t n)
{
    const uint8_t *original = job->packet->data + job->l4;
    uint8_t *tcp = job->out + job->l4;
    uint8_t flags = original[13];

    /* The receiver may answer a CWR once only (RFC 3168, 6.1.2). */
    if (done > 0) {
        flags &= (uint8_t)~TCP_CWR;
    }
    if (done + n < job->payload_len) {
        flags &= (uint8_t) ~(TCP_FIN | TCP_PSH);
    }
    tcp[13] = flags;
    segment_put32(tcp + 4, segment_get32(original + 4) + done);
}

/* Makes the segment of @n bytes from @done on, which is number @index. */
static void segment_fill(const SegmentJob *job, unsigned index, uint32_t done,
                         uint32_t n)
{
    uint8_t *l4 = job->out + job->l4;
    uint32_t l4_len = job->payload - job->l4 + n;
    uint8_t *field;

    memcpy(job->out + job->payload, job->packet->data + job->payload + done, n);
    segment_fill_ip(job, index, n);
    if (job->protocol == IPPROTO_TCP) {
        segment_fill_tcp(job, done, n);
        field = l4 + TCP_CHECKSUM;
    } else {
        segment_put16(l4 + 4, l4_len);
        field = l4 + UDP_CHECKSUM;
    }
    if (!job->no_checksum) {
        segment_put16(field, 0);
        checksum_store(
            checksum_add(job->pseudo + htons((uint16_t)l4_len), l4, l4_len),
            field);
    }
}

static void segment_emit(const Packet *packet, const uint8_t *data,
                         uint32_t len, SegmentFunc *func, void *opaque)
{
    Packet plain = {
        .data = data,
        .len = len,
        .origin = packet->origin,
        .time_ns = packet->time_ns,
        .vnet.flags = packet->vnet.flags & VIRTIO_NET_HDR_F_DATA_VALID,
    };

    func(opaque, &plain);
}

static unsigned segment_split(const Packet *packet, uint8_t *scratch,
                              SegmentFunc *func, void *opaque)
{
    SegmentJob job = {.packet = packet, .out = scratch};
    uint32_t count;
    uint32_t done = 0;

    if (!segment_parse(&job)) {
        return 0;
    }
    count = MAX((job.payload_len + job.size - 1) / job.size, 1);
    if (count > SEGMENTS_MAX) {
        return 0;
    }
    memcpy(scratch, packet->data, job.payload);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t n = MIN(job.size, job.payload_len - done);

        segment_fill(&job, i, done, n);
        done += n;
        segment_emit(packet, scratch, job.payload + n, func, opaque);
    }
    return count;
}

/* Completes a checksum: the field holds the sum of the pseudo-header. */
static unsigned segment_complete(const Packet *packet, uint8_t *scratch,
                                 SegmentFunc *func, void *opaque)
{
    uint32_t start = packet->vnet.csum_start;
    uint32_t field = start + packet->vnet.csum_offset;

    if (field + 2 > packet->len) {
        return 0;
    }
    /* SCTP means a CRC here (linux/skbuff.h, csum_not_inet); no other
     * protocol has its checksum at this place. */
    if (packet->vnet.csum_offset == SCTP_CHECKSUM) {
        return 0;
    }
    memcpy(scratch, packet->data, packet->len);
    checksum_store(checksum_add(0, packet->data + start, packet->len - start),
                   scratch + field);
    segment_emit(packet, scratch, packet->len, func, opaque);
    return 1;
}

unsigned packet_segment(const Packet *packet, uint8_t *scratch,
                        SegmentFunc *func, void *opaque)
{
    if (packet->len > PACKET_MAX_LEN) {
        return 0;
    }
    if (packet_is_super_frame(packet)) {
        return segment_split(packet, scratch, func, opaque);
    }
    if (packet->vnet.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
        return segment_complete(packet, scratch, func, opaque);
    }
    segment_emit(packet, packet->data, packet->len, func, opaque);
    return 1;
}
