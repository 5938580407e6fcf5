/* SPDX-License-Identifier: BSD-2-Clause */
#include "switchover/delivered.h"

#include "switchover/sieve.h"

#include <glib.h>

typedef struct DeliveredEntry {
    uint64_t digest;
    int64_t time_us;
    bool seen; /* its bytes were */
} DeliveredEntry;

/* Untouched entries cost address space alone: it is not zeroed. */
struct Delivered {
    uint64_t first, next; /* numbers that have an entry */
    int64_t since_us;
    uint8_t *scratch;
    DeliveredEntry entries[DELIVERED_MAX];
};

Delivered *delivered_new(void)
{
    Delivered *self = g_malloc(sizeof(*self));

    self->scratch = g_malloc(PACKET_MAX_LEN);
    delivered_begin(self, 0, 0);
    return self;
}

void delivered_free(Delivered *self)
{
    if (self) {
        g_free(self->scratch);
        g_free(self);
    }
}

void delivered_begin(Delivered *self, uint64_t number, int64_t now_us)
{
    self->first = self->next = number;
    self->since_us = now_us;
}

static void delivered_put(Delivered *self, DeliveredEntry entry)
{
    DeliveredEntry *place = &self->entries[self->next % DELIVERED_MAX];

    if (self->next - self->first == DELIVERED_MAX) {
        self->first++;
        self->since_us = MAX(self->since_us, place->time_us);
    }
    *place = entry;
    self->next++;
}

void delivered_add(Delivered *self, uint64_t number, const Packet *packet,
                   int64_t now_us)
{
    if (number - self->next >= DELIVERED_MAX) { /* all is forgotten */
        delivered_begin(self, number, now_us);
    }
    while (self->next < number) { /* not seen */
        delivered_put(self, (DeliveredEntry){.time_us = now_us});
    }
    delivered_put(self, (DeliveredEntry){sieve_digest(packet, self->scratch),
                                         now_us, true});
}

uint64_t delivered_memory_us(const Delivered *self, int64_t now_us)
{
    return (uint64_t)MIN(now_us - self->since_us, DELIVERED_WINDOW_US);
}

void delivered_forget(Delivered *self, uint64_t number)
{
    if (number >= self->first && number < self->next) {
        self->entries[number % DELIVERED_MAX].seen = false;
    }
}

unsigned delivered_list(const Delivered *self, int64_t now_us,
                        LinkDigest *digests)
{
    unsigned n = 0;

    for (uint64_t i = self->first; i < self->next; i++) {
        const DeliveredEntry *entry = &self->entries[i % DELIVERED_MAX];

        if (entry->seen && now_us - entry->time_us <= DELIVERED_WINDOW_US) {
            digests[n++] = (LinkDigest){entry->digest,
                                        (uint64_t)(now_us - entry->time_us)};
        }
    }
    return n;
}
