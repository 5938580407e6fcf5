/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The virtio-net header in front of a frame on the wire: 10 bytes, or 12 with
 * the number of buffers (mergeable receive buffers, virtio 1.x). Fields are in
 * the machine's own byte order, as QEMU puts them there.
 */
#ifndef TF_PACKET_VNET_H
#define TF_PACKET_VNET_H

#include "packet/packet.h"

#include <string.h>

#define VNET_HDR_LEN ((uint32_t)sizeof(struct virtio_net_hdr))
#define VNET_HDR_MRG_LEN ((uint32_t)sizeof(struct virtio_net_hdr_mrg_rxbuf))

/* Takes the header of @vnet_hdr_len bytes off @payload. A header shorter than
 * 10 bytes says nothing; the frame then counts as plain. */
static inline Packet vnet_parse(const uint8_t *payload, uint32_t len,
                                uint32_t vnet_hdr_len)
{
    Packet packet = {
        .data = payload + vnet_hdr_len,
        .len = len - vnet_hdr_len,
        .origin = ORIGIN_INJECTED,
    };

    if (vnet_hdr_len >= VNET_HDR_LEN) {
        memcpy(&packet.vnet, payload, VNET_HDR_LEN);
    }
    return packet;
}

#endif
