/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames by which a network learns where a MAC and its addresses are now, as
 * if the guest had sent them; without I/O.
 */
#ifndef TF_WIRE_ANNOUNCE_FRAME_H
#define TF_WIRE_ANNOUNCE_FRAME_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/if_ether.h>

/* Room for the largest: a neighbour advertisement with a VLAN tag. */
#define ANNOUNCE_FRAME_MAX 96

typedef struct AnnounceSender {
    uint8_t mac[ETH_ALEN];
    uint16_t vlan; /* tag (802.1Q), 1 to 4094; 0: none */
    bool router;   /* it forwards IPv6 */
} AnnounceSender;

/*
 * Each writes one frame to @frame, padded to what Ethernet asks for, and
 * returns its length.
 *
 * announce_rarp(): "who am I" (RFC 903), which nobody answers: every switch
 * learns the MAC's port. QEMU sends the same after a migration.
 */
size_t announce_rarp(const AnnounceSender *sender, uint8_t *frame);

/* An ARP announcement (RFC 5227, 2.3): neighbours update what they know. */
size_t announce_arp(const AnnounceSender *sender, const struct in_addr *address,
                    uint8_t *frame);

/* An unsolicited neighbour advertisement (RFC 4861, 7.2.6), with override. */
size_t announce_na(const AnnounceSender *sender, const struct in6_addr *address,
                   uint8_t *frame);

#endif
