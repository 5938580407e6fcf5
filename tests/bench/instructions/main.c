/* SPDX-License-Identifier: BSD-2-Clause */
/* bench-loops NAME: runs one of the main loops. Without a name it prints them
 * all, each with how often it does what its figure is for. */
#include "loops.h"

#include <stdio.h>
#include <string.h>

#include <glib.h>

#define FRAME_LEN 64
#define HEADROOM 32

typedef struct Loop {
    const char *name;
    unsigned times;
    void (*run)(void);
} Loop;

static const Loop loops[] = {
    {"framer, parse", LOOP_FRAMES, loop_framer_parse},
    {"queue, framing", LOOP_FRAMES, loop_framer_write},
    {"chain, 1 mirror", LOOP_FRAMES, loop_chain_1},
    {"chain, 8 mirrors", LOOP_FRAMES, loop_chain_8},
    {"dedup", LOOP_FRAMES, loop_dedup},
    {"ledger, a sample", LOOP_FRAMES / PACKET_BATCH_MAX, loop_ledger},
    {"pcapng block", LOOP_FRAMES, loop_pcapng},
    {"segmentation, a segment", LOOP_FRAMES, loop_segment},
};

G_NO_INLINE void loop_count(LoopBody *body, void *opaque)
{
    body(opaque);
}

void loop_make_batch(PacketBatch *batch)
{
    /* Room in front, as in a ring: frames go out from where they are. */
    static uint8_t frames[PACKET_BATCH_MAX][HEADROOM + FRAME_LEN];

    memset(batch, 0, sizeof(*batch));
    batch->n = PACKET_BATCH_MAX;
    for (unsigned i = 0; i < batch->n; i++) {
        frames[i][HEADROOM + FRAME_LEN - 1] = (uint8_t)i;
        batch->packets[i].data = frames[i] + HEADROOM;
        batch->packets[i].len = FRAME_LEN;
        batch->packets[i].headroom = HEADROOM;
    }
}

int main(int argc, char **argv)
{
    for (size_t i = 0; i < G_N_ELEMENTS(loops); i++) {
        if (argc < 2) {
            printf("%u %s\n", loops[i].times, loops[i].name);
        } else if (strcmp(argv[1], loops[i].name) == 0) {
            loops[i].run();
            return 0;
        }
    }
    return argc < 2 ? 0 : 1;
}
