/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checksum offload and segmentation (TSO, USO) in software, for a receiver that
 * takes plain frames only.
 *
 * Reference: the virtio specification 1.2, section 5.1.6 (virtio_net_hdr),
 * and linux/virtio_net.h.
 */
#ifndef TF_PACKET_SEGMENT_H
#define TF_PACKET_SEGMENT_H

#include "packet/packet.h"

#include <stddef.h>

/* One plain frame (vnet all zero but DATA_VALID); valid during the call. */
typedef void SegmentFunc(void *opaque, const Packet *segment);

/*
 * Calls @func for each plain frame that @packet stands for, in order: once
 * with the packet itself if it is plain, once with its checksum completed,
 * or once per segment. Returns how many, or 0 if it can't be segmented (unknown
 * type, headers that don't fit): then @func has not been called and the caller
 * counts a drop. @scratch holds PACKET_MAX_LEN bytes. Any thread.
 */
unsigned packet_segment(const Packet *packet, uint8_t *scratch,
                        SegmentFunc *func, void *opaque);

#endif
