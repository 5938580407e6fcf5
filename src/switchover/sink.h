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
    bool vnet;          /* the link carries headers, and super-frames whole */
    bool dedup;         /* leave out what the network delivers by itself */
    bool raise_queue;   /* make the TAP's queue longer for a large backlog */
    uint64_t hold_size; /* bytes */
    /* There is room again after sink_is_full(). */
    void (*room)(void *opaque);
    void *opaque;
} SinkConfig;

typedef struct Sink Sink;

Sink *sink_new(const SinkConfig *config, GError **errp);
/* Harmless with NULL. */
void sink_free(Sink *sink);

/* Where it injects. */
const char *sink_ifname(const Sink *sink);

/* Switched off, it holds; else it injects while the VM runs, or with
 * @when_stopped at any time. */
void sink_set_on(Sink *sink, bool on, bool when_stopped);

void sink_receive(Sink *sink, const PacketBatch *batch);

/* Somebody who wants to know when frames may have found their place: a round of
 * them, or one in the middle of it. */
typedef struct SinkListener {
    void (*moved)(void *opaque);
    void (*settled)(void *opaque);
    /* Another source goes on, and it is known now what did not come. */
    void (*missing)(void *opaque);
} SinkListener;

/* NULL: nobody any more. */
void sink_listen(Sink *sink, const SinkListener *listener, void *opaque);

/* How many frames came since the oldest that waits, that included. Some of them
 * may have found their place before it. */
uint64_t sink_unsettled(const Sink *sink);

/* What came was a switchover's, though the VM runs here already: another
 * daemon was here when it came. */
void sink_take_part(Sink *sink);

/* Does the source tell what its guest got? sink_hear() then has its words,
 * which are bodies as in wire/link-delivered.h. */
void sink_set_source_tells(Sink *sink, bool tells);
void sink_hear(Sink *sink, const uint8_t *body, size_t len);

/* Another source goes on in the place of the last one: sink_found() is what it
 * found. */
void sink_follow(Sink *sink);
/* The next @n frames lay in the source's TAP when it began: those that have
 * come from another source before are left out. */
void sink_found(Sink *sink, uint64_t n, const ShortfallFound *found);
/* See shortfall_begin(). */
void sink_place(Sink *sink, const ShortfallPlace *place, uint64_t came);
const Shortfall *sink_shortfall(const Sink *sink);

/* The VM runs at the source again: what waits is discarded. */
void sink_cancel(Sink *sink);

/* What it holds has reached its limit: stop reading. */
bool sink_is_full(const Sink *sink);

/* Adds the injecting side to the ledger: all but indev, which is counted by
 * whoever feeds the sink. */
void sink_add_account(const Sink *sink, Account *account);
const SwitchoverRecord *sink_record(Sink *sink);
/* Of the TAP's queue before the VM ran, for query-switchover; owned. */
json_t *sink_incoming(const Sink *sink);

#endif
