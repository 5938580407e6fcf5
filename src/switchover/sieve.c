/* SPDX-License-Identifier: BSD-2-Clause */
#include "switchover/sieve.h"

#include "packet/queue.h"
#include "switchover/dedup.h"

#include <string.h>

#include <glib.h>

/* PacketRecord.mark */
enum { SIEVE_DONE = 1, SIEVE_AGAIN = 2 };

/* A frame that the guest had. */
typedef struct SieveTold {
    LinkDigest copy;
    bool alone; /* it had no like */
} SieveTold;

struct Sieve {
    PacketQueue frames;
    Dedup *index; /* of frames: number there is number here, plus 1 */
    PacketRecord *records[DEDUP_MAX]; /* by number */
    uint64_t limit;
    /* The first frame to a group that the source's list has, so far: when it
     * came, and of each queue its number here, plus 1; 0: there is none. */
    int64_t had_ns;
    uint64_t had[SIEVE_QUEUES_MAX];
    Counter stale, waiting;
    Dedup *taken;  /* handed out by sieve_take(): if they come again they go
                      before all others */
    GArray *told;  /* SieveTold: the source's list, so far */
    uint64_t rest; /* of it */
    uint64_t memory_us; /* how far back it reaches */
    uint8_t *scratch;
};

Sieve *sieve_new(uint64_t limit)
{
    Sieve *self = g_new0(Sieve, 1);

    packet_queue_init(&self->frames);
    self->index = dedup_new();
    self->limit = limit;
    self->taken = dedup_new();
    self->told = g_array_new(false, false, sizeof(SieveTold));
    self->scratch = g_malloc(PACKET_MAX_LEN);
    return self;
}

void sieve_free(Sieve *self)
{
    if (self) {
        packet_queue_free(&self->frames);
        dedup_free(self->index);
        dedup_free(self->taken);
        g_array_unref(self->told);
        g_free(self->scratch);
        g_free(self);
    }
}

uint64_t sieve_digest(const Packet *packet, uint8_t *scratch)
{
    return (dedup_digest(packet, scratch) & ~UINT64_C(1)) |
           packet_is_to_group(packet);
}

static bool is_to_group(const PacketRecord *record)
{
    return record->data[0] & 1;
}

void sieve_trim(Sieve *self)
{
    PacketRecord *record;

    while ((record = packet_queue_oldest(&self->frames)) &&
           record->mark & SIEVE_DONE) {
        packet_queue_pop(&self->frames);
    }
}

static void sieve_drop(Sieve *self, PacketRecord *record)
{
    if (!(record->mark & SIEVE_DONE)) {
        record->mark |= SIEVE_DONE;
        counter_add(&self->stale, 1, record->len);
        counter_sub(&self->waiting, 1, record->len);
    }
}

void sieve_add(Sieve *self, const Packet *packet, int64_t came_us)
{
    uint64_t number = self->frames.next;
    uint64_t digest = sieve_digest(packet, self->scratch);
    PacketRecord *record;

    while (packet_queue_count(&self->frames) == DEDUP_MAX ||
           (packet_queue_count(&self->frames) > 0 &&
            packet_queue_size(&self->frames) + packet->len > self->limit)) {
        sieve_drop(self, packet_queue_oldest(&self->frames));
        packet_queue_pop(&self->frames);
    }
    record = packet_queue_append(&self->frames, packet);
    record->time_ns = came_us * 1000;
    self->records[number % DEDUP_MAX] = record;
    record->mark = dedup_take(self->taken, digest, came_us) ? SIEVE_AGAIN : 0;
    dedup_add(self->index, digest, came_us);
    counter_add(&self->waiting, 1, record->len);
}

/* The guest had @record, to a group, with @number of the index. */
static void sieve_note_had(Sieve *self, const PacketRecord *record,
                           uint64_t number)
{
    uint64_t *had = &self->had[record->queue];

    *had = *had == 0 ? number : MIN(*had, number);
    self->had_ns = self->had_ns == 0 ? record->time_ns
                                     : MIN(self->had_ns, record->time_ns);
}

/* The guest had @copy; true if a copy of it is here. */
static bool sieve_delivered(Sieve *self, LinkDigest copy, int64_t now_us)
{
    int64_t then = now_us - (int64_t)MIN(copy.age_us, INT64_MAX / 2);
    int64_t apart = copy.digest & 1 ? INT64_MAX / 2 : SIEVE_APART_US;
    uint64_t number = dedup_take_between(self->index, copy.digest, then - apart,
                                         then + apart);
    PacketRecord *record;

    if (number > self->frames.head.number) {
        record = self->records[(number - 1) % DEDUP_MAX];
        if (copy.digest & 1) {
            sieve_note_had(self, record, number);
        }
        sieve_drop(self, record);
    }
    return number != 0;
}

/* Unicast frames that are the same are copies of each other only while those
 * that have no like are found on both hosts. */
static void sieve_drop_copies(Sieve *self, int64_t now_us)
{
    bool floods = false;

    for (unsigned i = 0; i < self->told->len; i++) {
        const SieveTold *told = &g_array_index(self->told, SieveTold, i);
        uint64_t digest = told->copy.digest;

        if (digest & 1) {
            sieve_delivered(self, told->copy, now_us);
        } else if (told->alone &&
                   dedup_times(self->index, digest, now_us) < 2) {
            floods = sieve_delivered(self, told->copy, now_us);
        } else if (floods) {
            sieve_delivered(self, told->copy, now_us);
        }
    }
}

/* Is it older than the source's list, so that the guest has had it? The word
 * was under way for a while, so what is not quite as old may be taken for it,
 * too. Of frames to groups that does no harm, since they come over the link
 * then; such a one that came before one of the list is older, too. */
static bool sieve_is_old(const Sieve *self, const PacketRecord *record,
                         uint64_t number, int64_t now_us)
{
    uint64_t age = (uint64_t)(now_us - record->time_ns / 1000);

    if (!is_to_group(record)) {
        return age > MAX(self->memory_us, SIEVE_APART_US);
    }
    return age > self->memory_us || record->time_ns < self->had_ns ||
           number + 1 < self->had[record->queue];
}

static void sieve_drop_old(Sieve *self, int64_t now_us)
{
    PacketCursor cursor = packet_queue_head(&self->frames);
    PacketRecord *record;

    for (; (record = packet_queue_at(&self->frames, &cursor));
         packet_cursor_advance(&cursor)) {
        if (sieve_is_old(self, record, cursor.number, now_us)) {
            sieve_drop(self, record);
        }
    }
    sieve_trim(self);
    self->had_ns = 0;
    memset(self->had, 0, sizeof(self->had));
}

void sieve_compare(Sieve *self, int64_t now_us)
{
    sieve_drop_copies(self, now_us);
    sieve_drop_old(self, now_us);
    g_array_set_size(self->told, 0);
}

static void sieve_note_alone(Sieve *self)
{
    Dedup *all = dedup_new();

    for (unsigned i = 0; i < self->told->len; i++) {
        dedup_add(all, g_array_index(self->told, SieveTold, i).copy.digest, 0);
    }
    for (unsigned i = 0; i < self->told->len; i++) {
        SieveTold *told = &g_array_index(self->told, SieveTold, i);

        told->alone = dedup_times(all, told->copy.digest, 0) == 1;
    }
    dedup_free(all);
}

bool sieve_hear(Sieve *self, LinkDelivered *word)
{
    SieveTold told = {0};

    if (word->frames + word->rest != self->rest) { /* it is told anew */
        g_array_set_size(self->told, 0);
    }
    self->rest = word->rest;
    self->memory_us = word->memory_us;
    while (self->told->len < DEDUP_MAX &&
           link_delivered_next(word, &told.copy)) {
        g_array_append_val(self->told, told);
    }
    if (word->rest == 0) {
        sieve_note_alone(self);
    }
    return word->rest == 0;
}

void sieve_clear(Sieve *self)
{
    while (packet_queue_oldest(&self->frames)) {
        sieve_drop(self, packet_queue_oldest(&self->frames));
        packet_queue_pop(&self->frames);
    }
}

static void sieve_take_marked(Sieve *self, uint32_t mark, bool groups,
                              SieveFunc *func, void *opaque)
{
    PacketCursor cursor = packet_queue_head(&self->frames);
    PacketRecord *record;

    for (; (record = packet_queue_at(&self->frames, &cursor));
         packet_cursor_advance(&cursor)) {
        if (record->mark == mark && (groups || !is_to_group(record))) {
            Packet packet = packet_record_view(record);

            record->mark |= SIEVE_DONE;
            counter_sub(&self->waiting, 1, record->len);
            dedup_add(self->taken, sieve_digest(&packet, self->scratch),
                      record->time_ns / 1000);
            func(opaque, &packet);
        }
    }
}

void sieve_take(Sieve *self, bool groups, SieveFunc *func, void *opaque)
{
    sieve_take_marked(self, SIEVE_AGAIN, groups, func, opaque);
    sieve_take_marked(self, 0, groups, func, opaque);
}

Counter sieve_stale(const Sieve *self)
{
    return self->stale;
}

Counter sieve_waiting(const Sieve *self)
{
    return self->waiting;
}
