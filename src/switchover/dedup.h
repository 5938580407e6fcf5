/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which frames has the network delivered to a TAP by itself? A multiset of
 * digests, first in, first out, without I/O: a frame that comes over the link,
 * too, takes one of its like out and needs no injection.
 *
 * It is of fixed size and forgets after a while: copies of one frame reach two
 * hosts within milliseconds. In its loop only.
 */
#ifndef TF_SWITCHOVER_DEDUP_H
#define TF_SWITCHOVER_DEDUP_H

#include "packet/packet.h"

/* How long a delivered frame is remembered, and how many of them. */
#define DEDUP_WINDOW_US 10000000
#define DEDUP_MAX 8192

typedef struct Dedup Dedup;

Dedup *dedup_new(void);
/* Harmless with NULL. */
void dedup_free(Dedup *dedup);

/* What a frame is known by: its bytes, with the checksum that an offload has
 * still to compute. @scratch holds PACKET_MAX_LEN bytes. */
uint64_t dedup_digest(const Packet *packet, uint8_t *scratch);

/* A frame whose digest several ask for, or none: computed when the first does.
 * @packet and @scratch (as above) are borrowed. */
typedef struct DedupFrame {
    const Packet *packet;
    uint8_t *scratch;
    bool digested;
    uint64_t digest; /* once digested */
} DedupFrame;

static inline uint64_t dedup_frame_digest(DedupFrame *frame)
{
    if (!frame->digested) {
        frame->digest = dedup_digest(frame->packet, frame->scratch);
        frame->digested = true;
    }
    return frame->digest;
}

/* The network delivered a frame at @now_us (any clock that does not jump). */
void dedup_add(Dedup *dedup, uint64_t digest, int64_t now_us);

/* The same frame is known by this one, too. */
void dedup_add_more(Dedup *dedup, uint64_t digest, int64_t now_us);

/* True if there is none that dedup_take() could take, whatever its digest. */
bool dedup_is_empty(const Dedup *dedup, int64_t now_us);

/* True if a frame of that digest was delivered and not taken yet; takes it. */
bool dedup_take(Dedup *dedup, uint64_t digest, int64_t now_us);

/* Takes the newest of that digest that was delivered from @from_us on up to
 * @to_us. Returns its number, counted from 1 by dedup_add(), or 0. */
uint64_t dedup_take_between(Dedup *dedup, uint64_t digest, int64_t from_us,
                            int64_t to_us);

/* One of that digest, if there is any, was not delivered after all. Returns
 * when it seemed to be, else @now_us. */
int64_t dedup_remove(Dedup *dedup, uint64_t digest, int64_t now_us);

/* How often was a frame of that digest delivered lately, taken or not? 2: more
 * than once. */
unsigned dedup_times(Dedup *dedup, uint64_t digest, int64_t now_us);

/* How many digests are left. */
uint64_t dedup_count(const Dedup *dedup);

/* The VMM took the @n oldest that are left, and the guest won't get them. */
void dedup_forget_oldest(Dedup *dedup, uint64_t n);

/* The @n that were added last, taken or not, were not delivered. */
void dedup_forget_newest(Dedup *dedup, uint64_t n);

void dedup_clear(Dedup *dedup);

#endif
