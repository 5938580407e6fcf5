/* SPDX-License-Identifier: BSD-2-Clause */
/* Loops of the switchover: what the network delivered, what the guest got. */
#include "loops.h"
#include "switchover/dedup.h"
#include "switchover/ledger.h"

#include <glib.h>

#define BATCH_US 100

typedef struct Books {
    PacketBatch batch;
    Dedup *dedup;
    Ledger ledger;
    uint8_t scratch[PACKET_MAX_LEN];
} Books;

/* Each frame comes from the network and over the link. */
static void books_dedup(void *opaque)
{
    Books *self = opaque;
    int64_t now_us = 0;

    for (unsigned n = 0; n < LOOP_FRAMES; n += self->batch.n) {
        now_us += BATCH_US;
        for (unsigned i = 0; i < self->batch.n; i++) {
            const Packet *packet = &self->batch.packets[i];
            bool had;

            dedup_add(self->dedup, dedup_digest(packet, self->scratch), now_us);
            had = dedup_take(self->dedup, dedup_digest(packet, self->scratch),
                             now_us);
            g_assert_true(had);
        }
    }
}

void loop_dedup(void)
{
    Books *self = g_new0(Books, 1);

    loop_make_batch(&self->batch);
    self->dedup = dedup_new();
    loop_count(books_dedup, self);
    dedup_free(self->dedup);
    g_free(self);
}

/* A guest that takes what it is sent, and a sample for each batch. */
static void books_ledger(void *opaque)
{
    Books *self = opaque;
    LedgerSample sample = {.used_known = true, .used_stable = true};

    for (unsigned n = 0; n < LOOP_FRAMES; n += self->batch.n) {
        sample.time_us += BATCH_US;
        ledger_sample(&self->ledger, &sample);
        ledger_captured(&self->ledger, 0, self->batch.n);
        sample.counters.tx_packets += self->batch.n;
        sample.used = (uint16_t)(sample.used + self->batch.n);
    }
}

void loop_ledger(void)
{
    Books *self = g_new0(Books, 1);

    loop_make_batch(&self->batch);
    ledger_init(&self->ledger, 0, 1000);
    loop_count(books_ledger, self);
    g_assert_cmpuint(ledger_entered(&self->ledger), ==, LOOP_FRAMES);
    g_free(self);
}
