/* SPDX-License-Identifier: BSD-2-Clause */
#include "switchover/dedup.h"

#include "packet/segment.h"

#include <string.h>

#include <glib.h>
#include <xxhash.h>

typedef struct DedupEntry {
    uint64_t digest;
    int64_t time_us;
    uint64_t older; /* number of the next older one of its bucket */
    bool left;      /* not taken, not forgotten */
    bool undone;    /* it was not delivered */
    bool more;      /* of the frame before it */
} DedupEntry;

/* Entries are numbered from 1; those before @first are gone. */
struct Dedup {
    uint64_t first, next;
    uint64_t n_left; /* entries */
    DedupEntry entries[DEDUP_MAX];
    uint64_t newest[DEDUP_MAX]; /* of each bucket */
};

Dedup *dedup_new(void)
{
    Dedup *self = g_new0(Dedup, 1);

    dedup_clear(self);
    return self;
}

void dedup_free(Dedup *self)
{
    g_free(self);
}

void dedup_clear(Dedup *self)
{
    self->first = self->next = 1;
    self->n_left = 0;
    memset(self->newest, 0, sizeof(self->newest));
}

static void dedup_hash_segment(void *opaque, const Packet *segment)
{
    *(uint64_t *)opaque = XXH3_64bits(segment->data, segment->len);
}

uint64_t dedup_digest(const Packet *packet, uint8_t *scratch)
{
    uint64_t digest;

    /* A super-frame is compared as it is: both hosts get it as one, or not. */
    if (!packet_is_super_frame(packet) && packet_is_offloaded(packet) &&
        packet_segment(packet, scratch, dedup_hash_segment, &digest) == 1) {
        return digest;
    }
    return XXH3_64bits(packet->data, packet->len);
}

static DedupEntry *dedup_at(Dedup *self, uint64_t number)
{
    return &self->entries[number % DEDUP_MAX];
}

/* The entry is not to be found any more. */
static void dedup_leave(Dedup *self, DedupEntry *entry)
{
    self->n_left -= entry->left;
    entry->left = false;
}

static void dedup_append(Dedup *self, uint64_t digest, int64_t now_us,
                         bool more)
{
    uint64_t *newest = &self->newest[digest % DEDUP_MAX];

    if (self->next - self->first == DEDUP_MAX) {
        dedup_leave(self, dedup_at(self, self->first++));
    }
    *dedup_at(self, self->next) = (DedupEntry){
        .digest = digest,
        .time_us = now_us,
        .older = *newest,
        .left = true,
        .more = more,
    };
    *newest = self->next++;
    self->n_left++;
}

void dedup_add(Dedup *self, uint64_t digest, int64_t now_us)
{
    dedup_append(self, digest, now_us, false);
}

void dedup_add_more(Dedup *self, uint64_t digest, int64_t now_us)
{
    dedup_append(self, digest, now_us, true);
}

uint64_t dedup_count(const Dedup *self)
{
    return self->n_left;
}

bool dedup_is_empty(const Dedup *self, int64_t now_us)
{
    return self->n_left == 0 ||
           now_us - self->entries[(self->next - 1) % DEDUP_MAX].time_us >
               DEDUP_WINDOW_US;
}

uint64_t dedup_take_between(Dedup *self, uint64_t digest, int64_t from_us,
                            int64_t to_us)
{
    uint64_t number = self->newest[digest % DEDUP_MAX];

    while (number >= self->first) {
        DedupEntry *entry = dedup_at(self, number);

        if (entry->time_us < from_us) {
            return 0; /* those behind it are older still */
        }
        if (entry->left && entry->digest == digest && entry->time_us <= to_us) {
            dedup_leave(self, entry);
            return number;
        }
        number = entry->older;
    }
    return 0;
}

bool dedup_take(Dedup *self, uint64_t digest, int64_t now_us)
{
    return dedup_take_between(self, digest, now_us - DEDUP_WINDOW_US,
                              INT64_MAX) != 0;
}

int64_t dedup_remove(Dedup *self, uint64_t digest, int64_t now_us)
{
    uint64_t number =
        dedup_take_between(self, digest, now_us - DEDUP_WINDOW_US, INT64_MAX);

    if (number == 0) {
        return now_us;
    }
    dedup_at(self, number)->undone = true;
    return dedup_at(self, number)->time_us;
}

unsigned dedup_times(Dedup *self, uint64_t digest, int64_t now_us)
{
    uint64_t number = self->newest[digest % DEDUP_MAX];
    unsigned times = 0;

    while (number >= self->first && times < 2) {
        const DedupEntry *entry = dedup_at(self, number);

        if (entry->time_us < now_us - DEDUP_WINDOW_US) {
            break;
        }
        times += entry->digest == digest && !entry->undone;
        number = entry->older;
    }
    return times;
}

void dedup_forget_newest(Dedup *self, uint64_t n)
{
    while (n > 0 && self->next > self->first) {
        DedupEntry *entry = dedup_at(self, --self->next);

        dedup_leave(self, entry);
        self->newest[entry->digest % DEDUP_MAX] = entry->older;
        n -= !entry->more;
    }
}

void dedup_forget_oldest(Dedup *self, uint64_t n)
{
    for (; self->first < self->next; self->first++) {
        DedupEntry *entry = dedup_at(self, self->first);

        if (!entry->more && n == 0) {
            return;
        }
        n -= !entry->more && entry->left;
        dedup_leave(self, entry);
    }
}
