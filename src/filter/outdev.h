/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The property outdev of filters: a bounded send queue to a chardev, its policy
 * when it is full, and the counters.
 *
 * The filter embeds an Outdev and owns it. outdev_append() returns the verdict
 * on the frame; frames that are dropped later (to make room, or because they
 * can't be segmented) are counted as the filter's drops here. In its loop only.
 */
#ifndef TF_FILTER_OUTDEV_H
#define TF_FILTER_OUTDEV_H

#include "chardev/frame-writer.h"
#include "filter/filter.h"

/* The drops that can occur here, for FilterClass.drop_causes. */
#define OUTDEV_DROP_CAUSES                                                     \
    ((1u << DROP_QUEUE_FULL) | (1u << DROP_OVERSIZE) |                         \
     (1u << DROP_DISCONNECTED))

typedef struct OutdevConfig {
    const char *chardev; /* id */
    uint32_t vnet_len;   /* of each virtio-net header on the wire; 0: none */
    uint64_t limit;      /* bytes that may wait */
    FullPolicy policy;
} OutdevConfig;

typedef struct Outdev {
    Filter *filter;
    FrameWriter *writer; /* NULL: not open */
    Counter sent;        /* frames whose last byte the kernel has taken */
    /* There is room again after a verdict of DROP_QUEUE_FULL; NULL: not wanted.
     */
    void (*room)(Filter *filter);
} Outdev;

/* The words of the property "on-full". */
extern const char *const outdev_on_full_words[];

/* The policy that @word names; NULL: @fallback. */
FullPolicy outdev_parse_policy(const char *word, FullPolicy fallback);

/* Sets *@vnet_len by the properties vnet_hdr_support and vnet-hdr-len. */
bool outdev_vnet_len(bool support, uint32_t len, uint32_t *vnet_len,
                     GError **errp);

bool outdev_open(Outdev *outdev, Filter *filter, const OutdevConfig *config,
                 GError **errp);
/* Harmless if not open. */
void outdev_close(Outdev *outdev);

/* VERDICT_CONSUMED: it is sent, or a copy is queued, by outdev_run() at the
 * latest. Empty frames are not sent. */
Verdict outdev_append(Outdev *outdev, const Packet *packet);

/* Sends as much as the chardev takes now. */
void outdev_run(Outdev *outdev);

#endif
