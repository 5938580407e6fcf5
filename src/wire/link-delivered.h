/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The body of LINK_DELIVERED (wire/link-record.h), behind its type: the frames
 * that the VM received at the source until it stopped. A byte format without
 * I/O:
 *
 *   u64 BE rest       frames of this list in further bodies; 0: the list is
 *                     complete
 *   u64 BE memory     age of the begin of the list in microseconds; the VM
 *                     received all earlier frames. UINT64_MAX: nothing is known
 *   u64 BE digest, u64 BE age in microseconds, of each frame
 */
#ifndef TF_WIRE_LINK_DELIVERED_H
#define TF_WIRE_LINK_DELIVERED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Frames in a body, and its longest length. */
#define LINK_DELIVERED_FRAMES 250
#define LINK_DELIVERED_MAX (16 + 16 * LINK_DELIVERED_FRAMES)

typedef struct LinkDigest {
    uint64_t digest; /* sieve_digest() */
    uint64_t age_us; /* how long ago the frame was captured */
} LinkDigest;

typedef struct LinkDelivered {
    uint64_t rest;
    uint64_t memory_us;
    const uint8_t *at; /* the frames; borrowed */
    size_t frames;
} LinkDelivered;

/* Writes a body with @n digests, LINK_DELIVERED_FRAMES at most; returns its
 * length. */
size_t link_delivered_put(uint8_t *body, uint64_t rest, uint64_t memory_us,
                          const LinkDigest *digests, unsigned n);

/* False if it is too short. Bytes behind the last complete pair are ignored. */
bool link_delivered_parse(const uint8_t *body, size_t len, LinkDelivered *word);
/* The next frame of the list; false at its end. */
bool link_delivered_next(LinkDelivered *word, LinkDigest *digest);

#endif
