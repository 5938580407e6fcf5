/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A frame with a virtio-net header from a peer: taken apart into plain frames,
 * none of them longer than it was.
 *
 * Input: a frame as the wire has it, a header of 10 bytes first.
 */
#include "fuzz.h"
#include "packet/segment.h"
#include "packet/vnet.h"

#include <glib.h>

typedef struct Fuzz {
    const Packet *packet;
    unsigned segments;
    uint8_t sum; /* so that each byte is looked at */
} Fuzz;

static void fuzz_segment(void *opaque, const Packet *segment)
{
    Fuzz *fuzz = opaque;

    g_assert(!packet_is_offloaded(segment));
    g_assert(segment->len <= fuzz->packet->len);
    for (uint32_t i = 0; i < segment->len; i++) {
        fuzz->sum ^= segment->data[i];
    }
    fuzz->segments++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree uint8_t *scratch = g_malloc(PACKET_MAX_LEN);
    g_autofree uint8_t *payload = NULL;
    Packet packet;
    Fuzz fuzz = {.packet = &packet};
    unsigned n;

    if (size < VNET_HDR_LEN || size > PACKET_MAX_LEN) {
        return 0;
    }
    payload = g_memdup2(data, size); /* its end is watched */
    packet = vnet_parse(payload, (uint32_t)size, VNET_HDR_LEN);
    n = packet_segment(&packet, scratch, fuzz_segment, &fuzz);
    g_assert(n == fuzz.segments);
    return 0;
}
