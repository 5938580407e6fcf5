/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The destination of a switchover (indev to out_netdev): holds the frames
 * that come while the VM does not run, and injects them, in order and paced,
 * when it does; later ones behind them. In its loop only.
 */
#ifndef TF_SWITCHOVER_SINK_H
#define TF_SWITCHOVER_SINK_H

#include "netdev/tap.h"
#include "switchover/account.h"
#include "switchover/record.h"
#include "switchover/shortfall.h"

typedef struct SinkConfig {
    const char *name; /* of the redirector, for log and events; borrowed */
    Tap *tap;
    bool vnet;          /* the link carries virtio-net headers, and so
                           super-frames are not segmented */
    bool dedup;         /* discard duplicates of what the network delivers */
    bool raise_queue;   /* lengthen the TAP's queue for a large backlog */
    uint64_t hold_size; /* bytes */
    /* There is room again after sink_is_full(). */
    void (*room)(void *opaque);
    void *opaque;
} SinkConfig;

typedef struct Sink Sink;

Sink *sink_new(const SinkConfig *config, GError **errp);
/* Harmless with NULL. */
void sink_free(Sink *sink);

/* The name of the TAP. */
const char *sink_ifname(const Sink *sink);

/* Off: it holds. On: it injects while the VM runs, or with @when_stopped at any
 * time. */
void sink_set_on(Sink *sink, bool on, bool when_stopped);

/* Frames came over the link. */
void sink_receive(Sink *sink, const PacketBatch *batch);

/* For the link: sink_unsettled() may have changed, */
typedef struct SinkListener {
    void (*moved)(void *opaque);   /* after a round of frames, */
    void (*settled)(void *opaque); /* or one of them */
    /* A new source has begun, and sink_shortfall() knows what is missing. */
    void (*missing)(void *opaque);
} SinkListener;

/* Sets the listener; NULL: none. */
void sink_listen(Sink *sink, const SinkListener *listener, void *opaque);

/* How many of the last frames that came are not settled: from the oldest that
 * waits on, some of which may be settled before it. */
uint64_t sink_unsettled(const Sink *sink);

/* The frames belong to a switchover, though the VM runs here already: it began
 * with an earlier daemon. */
void sink_take_part(Sink *sink);

/* Does the source send LINK_DELIVERED? Its bodies (wire/link-delivered.h) then
 * go to sink_hear(). */
void sink_set_source_tells(Sink *sink, bool tells);
void sink_hear(Sink *sink, const uint8_t *body, size_t len);

/* A new source replaces the last one. */
void sink_follow(Sink *sink);
/* It found the next @n frames in its TAP's queue: those that an earlier source
 * has shipped are discarded. */
void sink_found(Sink *sink, uint64_t n, const ShortfallFound *found);
/* See shortfall_begin(). */
void sink_place(Sink *sink, const ShortfallPlace *place, uint64_t came);
/* The next @n frames of the link are segments of one. */
void sink_pieces(Sink *sink, uint64_t n);
const Shortfall *sink_shortfall(const Sink *sink);

/* The VM runs at the source again: discards what waits. */
void sink_cancel(Sink *sink);

/* hold_size is reached: stop reading. */
bool sink_is_full(const Sink *sink);

/* Sets the counters of the injecting side in @account; except indev, which the
 * caller of sink_receive() counts. */
void sink_add_account(const Sink *sink, Account *account);
const SwitchoverRecord *sink_record(Sink *sink);
/* What was done to the TAP's queue before the VM ran, for query-switchover;
 * owned. */
json_t *sink_incoming(const Sink *sink);

#endif
