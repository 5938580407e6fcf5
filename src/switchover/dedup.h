/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Deduplication: a multiset of digests of the frames that the network has
 * delivered to a TAP by itself, without I/O. A frame that comes over the link
 * takes an equal digest out of it, and then needs no injection.
 *
 * It has a fixed size and entries expire: copies of one frame reach two hosts
 * within milliseconds. In its loop only.
 */
#ifndef TF_SWITCHOVER_DEDUP_H
#define TF_SWITCHOVER_DEDUP_H

#include "packet/packet.h"

/* Lifetime of an entry, and the most entries. */
#define DEDUP_WINDOW_US 10000000
#define DEDUP_MAX 8192

typedef struct Dedup Dedup;

Dedup *dedup_new(void);
/* Harmless with NULL. */
void dedup_free(Dedup *dedup);

/* The digest of a frame (XXH3 of its bytes, with the checksum completed that
 * an offload has yet to compute). @scratch holds PACKET_MAX_LEN bytes. */
uint64_t dedup_digest(const Packet *packet, uint8_t *scratch);

/* A frame with its digest, which is computed on first use. @packet and @scratch
 * (as above) are borrowed. */
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

/* Adds a frame that the network delivered at @now_us (any clock that does not
 * jump). */
void dedup_add(Dedup *dedup, uint64_t digest, int64_t now_us);

/* Adds another digest of the last frame: a further segment of it. */
void dedup_add_more(Dedup *dedup, uint64_t digest, int64_t now_us);

/* True if no digest can be taken. */
bool dedup_is_empty(const Dedup *dedup, int64_t now_us);

/* Takes the newest entry of that digest; false if there is none. */
bool dedup_take(Dedup *dedup, uint64_t digest, int64_t now_us);

/* Takes the newest entry of that digest that was delivered in [@from_us,
 * @to_us]. Returns its number, counted from 1 by dedup_add(), or 0. */
uint64_t dedup_take_between(Dedup *dedup, uint64_t digest, int64_t from_us,
                            int64_t to_us);

/* Removes an entry of that digest: the frame was not delivered after all.
 * Returns its time; @now_us if there is none. */
int64_t dedup_remove(Dedup *dedup, uint64_t digest, int64_t now_us);

/* How many unexpired entries of that digest there are, taken or not: 0, 1, or 2
 * for more. */
unsigned dedup_times(Dedup *dedup, uint64_t digest, int64_t now_us);

/* How many digests can be taken. */
uint64_t dedup_count(const Dedup *dedup);

/* Removes the @n oldest frames that are left: the guest does not get them. */
void dedup_forget_oldest(Dedup *dedup, uint64_t n);

/* Removes the @n newest frames, taken or not: they were not delivered. */
void dedup_forget_newest(Dedup *dedup, uint64_t n);

void dedup_clear(Dedup *dedup);

#endif
