/* SPDX-License-Identifier: BSD-2-Clause */
/* Loops that write frames anew: into a capture file, and in segments. */
#include "bench/tools/frame.h"
#include "loops.h"
#include "packet/segment.h"
#include "wire/pcap.h"

#include <glib.h>

#define SUPER_FRAME 60000

static void formats_pcapng(void *opaque)
{
    const PacketBatch *batch = opaque;
    uint8_t block[256];
    size_t written = 0;

    for (unsigned n = 0; n < LOOP_FRAMES; n++) {
        const Packet *packet = &batch->packets[n % batch->n];

        written += pcap_write_frame(
            block, PCAP_FORMAT_NG,
            &(PcapFrame){packet->data, packet->len, packet->len, true, n});
    }
    g_assert_cmpuint(
        written, ==,
        LOOP_FRAMES * pcap_frame_size(PCAP_FORMAT_NG, batch->packets[0].len));
}

void loop_pcapng(void)
{
    PacketBatch batch;

    loop_make_batch(&batch);
    loop_count(formats_pcapng, &batch);
}

static void formats_count(void *opaque, const Packet *segment)
{
    (void)segment;
    ++*(unsigned *)opaque;
}

static void formats_segment(void *opaque)
{
    static uint8_t scratch[PACKET_MAX_LEN];
    unsigned segments = 0;

    while (segments < LOOP_FRAMES) {
        unsigned n = packet_segment(opaque, scratch, formats_count, &segments);

        g_assert_cmpuint(n, >, 0);
    }
}

void loop_segment(void)
{
    static uint8_t frame[FRAME_MAX];
    Packet packet = {.data = frame, .len = SUPER_FRAME};

    frame_make(frame, SUPER_FRAME, &packet.vnet);
    loop_count(formats_segment, &packet);
}
