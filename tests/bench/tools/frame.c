/* SPDX-License-Identifier: BSD-2-Clause */
#include "frame.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <linux/ethtool.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>

#define ETHERTYPE_EXPERIMENTAL 0x88b5
#define HEADERS (ETH_HLEN + sizeof(struct iphdr) + sizeof(struct tcphdr))
#define SEGMENT 1448
/* Frames of a train, and its bytes. */
#define TRAIN_MAX 150
#define TRAIN_BYTES 64000

void frame_die(const char *what)
{
    perror(what);
    exit(1);
}

/* The sum of 16-bit words, from @sum on, folded. */
static uint32_t frame_sum(uint32_t sum, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i + 1 < len; i += 2) {
        sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
    }
    sum = (sum & 0xffff) + (sum >> 16);
    return (sum & 0xffff) + (sum >> 16);
}

static void frame_make_tcp(uint8_t *frame, size_t size, size_t segment,
                           struct virtio_net_hdr *vnet)
{
    struct iphdr ip = {
        .version = 4,
        .ihl = sizeof(ip) / 4,
        .tot_len = htons((uint16_t)(size - ETH_HLEN)),
        .frag_off = htons(IP_DF),
        .ttl = 64,
        .protocol = IPPROTO_TCP,
        .saddr = htonl(0x0a000001),
        .daddr = htonl(0x0a000002),
    };
    struct tcphdr tcp = {
        .source = htons(5001),
        .dest = htons(5002),
        .doff = sizeof(tcp) / 4,
        .ack = 1,
        .window = htons(65535),
    };
    uint8_t *at = frame + ETH_HLEN;

    memcpy(at, &ip, sizeof(ip));
    ip.check = htons((uint16_t)~frame_sum(0, at, sizeof(ip)));
    /* The sum of the pseudo-header: the rest is left to be completed. */
    tcp.check = htons((uint16_t)frame_sum(
        IPPROTO_TCP + (uint32_t)(size - ETH_HLEN - sizeof(ip)),
        at + offsetof(struct iphdr, saddr), 2 * sizeof(ip.saddr)));
    memcpy(at, &ip, sizeof(ip));
    memcpy(at + sizeof(ip), &tcp, sizeof(tcp));
    *vnet = (struct virtio_net_hdr){
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
        .hdr_len = HEADERS,
        .gso_size = (uint16_t)segment,
        .csum_start = ETH_HLEN + sizeof(ip),
        .csum_offset = offsetof(struct tcphdr, check),
    };
}

/* @segment: bytes of each of the frames that it is to be cut into; 0: it is a
 * plain one. */
static bool frame_make_any(uint8_t *frame, size_t size, size_t segment,
                           struct virtio_net_hdr *vnet)
{
    const struct ethhdr head = {
        .h_dest = {0x02, 0, 0, 0, 0, 0x22},
        .h_source = {0x02, 0, 0, 0, 0, 0x11},
        .h_proto = htons(segment > 0 ? ETH_P_IP : ETHERTYPE_EXPERIMENTAL),
    };

    if (size < ETH_ZLEN || size >= FRAME_MAX) {
        return false;
    }
    for (size_t i = ETH_HLEN; i < size; i++) {
        frame[i] = (uint8_t)i;
    }
    memcpy(frame, &head, sizeof(head));
    memset(vnet, 0, sizeof(*vnet));
    if (segment > 0) {
        frame_make_tcp(frame, size, segment, vnet);
    }
    return true;
}

bool frame_make(uint8_t *frame, size_t size, struct virtio_net_hdr *vnet)
{
    return frame_make_any(frame, size, size > TSO_FROM ? SEGMENT : 0, vnet);
}

unsigned frame_make_train(uint8_t *frame, size_t size,
                          struct virtio_net_hdr *vnet, size_t *total)
{
    size_t segment = size - HEADERS;
    size_t n = TRAIN_BYTES / segment;

    n = n < TRAIN_MAX ? n : TRAIN_MAX;
    *total = HEADERS + n * segment;
    return frame_make_any(frame, *total, segment, vnet) ? (unsigned)n : 0;
}

void frame_set_offloads(const char *ifname, bool on)
{
    static const uint32_t what[] = {ETHTOOL_STXCSUM, ETHTOOL_SGSO,
                                    ETHTOOL_STSO};
    struct ifreq request = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    strncpy(request.ifr_name, ifname, IFNAMSIZ - 1);
    for (size_t i = 0; i < sizeof(what) / sizeof(what[0]); i++) {
        struct ethtool_value value = {what[i], on};

        request.ifr_data = (char *)&value;
        if (ioctl(fd, SIOCETHTOOL, &request) < 0) {
            frame_die(ifname);
        }
    }
    close(fd);
}

int frame_socket(const char *ifname, int protocol, bool vnet)
{
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET,
        .sll_protocol = htons((uint16_t)protocol),
        .sll_ifindex = (int)if_nametoindex(ifname),
    };
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    int on = vnet;

    if (fd < 0 ||
        setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) < 0 ||
        address.sll_ifindex == 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        frame_die(ifname);
    }
    return fd;
}

uint64_t frame_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
