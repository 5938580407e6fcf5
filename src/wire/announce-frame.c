/* SPDX-License-Identifier: BSD-2-Clause */
#include "wire/announce-frame.h"

#include "packet/checksum.h"

#include <string.h>

#include <glib.h>
#include <net/if_arp.h>
#include <netinet/icmp6.h>
#include <netinet/ip6.h>

/* Bytes of an untagged frame at least, without its check sum (802.3). */
#define FRAME_MIN ETH_ZLEN

/* RARP (RFC 903); its format is that of ARP. */
#define ARP_RARP_REQUEST ARPOP_RREQUEST

typedef struct ArpPacket {
    struct arphdr header;
    uint8_t sender_mac[ETH_ALEN];
    struct in_addr sender_ip;
    uint8_t target_mac[ETH_ALEN];
    struct in_addr target_ip;
} __attribute__((packed)) ArpPacket;

typedef struct Advertisement {
    struct nd_neighbor_advert advert;
    struct nd_opt_hdr option;
    uint8_t mac[ETH_ALEN];
} __attribute__((packed)) Advertisement;

/* RFC 8200, 8.1 */
typedef struct PseudoHeader {
    struct in6_addr source, destination;
    uint32_t length;
    uint8_t zero[3];
    uint8_t next_header;
} PseudoHeader;

static const uint8_t broadcast[ETH_ALEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
/* ff02::1, all nodes, and its MAC (RFC 2464, 7). */
static const uint8_t all_nodes_mac[ETH_ALEN] = {0x33, 0x33, 0, 0, 0, 1};
static const struct in6_addr all_nodes = {
    .s6_addr = {0xff, 0x02, [15] = 0x01},
};

static size_t put16(uint8_t *to, uint16_t value)
{
    value = htons(value);
    memcpy(to, &value, sizeof(value));
    return sizeof(value);
}

/* Writes the Ethernet header; returns its length. */
static size_t announce_begin(const AnnounceSender *sender,
                             const uint8_t *destination, uint16_t type,
                             uint8_t *frame)
{
    size_t len = 2 * ETH_ALEN;

    memset(frame, 0, ANNOUNCE_FRAME_MAX);
    memcpy(frame, destination, ETH_ALEN);
    memcpy(frame + ETH_ALEN, sender->mac, ETH_ALEN);
    if (sender->vlan) {
        len += put16(frame + len, ETH_P_8021Q);
        len += put16(frame + len, sender->vlan);
    }
    return len + put16(frame + len, type);
}

/* The length of a frame, padding included; a tag makes it longer. */
static size_t announce_end(const AnnounceSender *sender, size_t len)
{
    return MAX(len, FRAME_MIN + (sender->vlan ? 4U : 0U));
}

static size_t announce_arp_packet(const AnnounceSender *sender, uint16_t type,
                                  const ArpPacket *packet, uint8_t *frame)
{
    size_t len = announce_begin(sender, broadcast, type, frame);

    memcpy(frame + len, packet, sizeof(*packet));
    return announce_end(sender, len + sizeof(*packet));
}

static ArpPacket arp_packet(const AnnounceSender *sender, uint16_t operation)
{
    ArpPacket packet = {
        .header =
            {
                .ar_hrd = htons(ARPHRD_ETHER),
                .ar_pro = htons(ETH_P_IP),
                .ar_hln = ETH_ALEN,
                .ar_pln = sizeof(struct in_addr),
                .ar_op = htons(operation),
            },
    };

    memcpy(packet.sender_mac, sender->mac, ETH_ALEN);
    return packet;
}

size_t announce_rarp(const AnnounceSender *sender, uint8_t *frame)
{
    ArpPacket packet = arp_packet(sender, ARP_RARP_REQUEST);

    memcpy(packet.target_mac, sender->mac, ETH_ALEN);
    return announce_arp_packet(sender, ETH_P_RARP, &packet, frame);
}

size_t announce_arp(const AnnounceSender *sender, const struct in_addr *address,
                    uint8_t *frame)
{
    ArpPacket packet = arp_packet(sender, ARPOP_REQUEST);

    packet.sender_ip = *address;
    packet.target_ip = *address;
    return announce_arp_packet(sender, ETH_P_ARP, &packet, frame);
}

size_t announce_na(const AnnounceSender *sender, const struct in6_addr *address,
                   uint8_t *frame)
{
    struct ip6_hdr ip = {
        .ip6_flow = htonl(6U << 28),
        .ip6_plen = htons(sizeof(Advertisement)),
        .ip6_nxt = IPPROTO_ICMPV6,
        .ip6_hlim = 255,
        .ip6_src = *address,
        .ip6_dst = all_nodes,
    };
    PseudoHeader pseudo = {
        .source = *address,
        .destination = all_nodes,
        .length = htonl(sizeof(Advertisement)),
        .next_header = IPPROTO_ICMPV6,
    };
    Advertisement body = {
        .advert =
            {
                .nd_na_hdr.icmp6_type = ND_NEIGHBOR_ADVERT,
                .nd_na_hdr.icmp6_dataun.icmp6_un_data32[0] =
                    ND_NA_FLAG_OVERRIDE |
                    (sender->router ? ND_NA_FLAG_ROUTER : 0),
                .nd_na_target = *address,
            },
        .option = {.nd_opt_type = ND_OPT_TARGET_LINKADDR, .nd_opt_len = 1},
    };
    size_t len = announce_begin(sender, all_nodes_mac, ETH_P_IPV6, frame);
    uint64_t sum = checksum_add(0, &pseudo, sizeof(pseudo));

    memcpy(body.mac, sender->mac, ETH_ALEN);
    sum = checksum_add(sum, &body, sizeof(body));
    checksum_store(sum, &body.advert.nd_na_hdr.icmp6_cksum);
    memcpy(frame + len, &ip, sizeof(ip));
    memcpy(frame + len + sizeof(ip), &body, sizeof(body));
    return announce_end(sender, len + sizeof(ip) + sizeof(body));
}
