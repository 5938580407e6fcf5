/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of filter-redirector share: redirector.c, and its properties
 * in redirector-props.c. */
#ifndef TF_FILTER_REDIRECTOR_INTERNAL_H
#define TF_FILTER_REDIRECTOR_INTERNAL_H

#include "filter/filter.h"
#include "filter/outdev.h"
#include "netdev/tap.h"
#include "switchover/sink-link.h"
#include "switchover/sink.h"
#include "switchover/source.h"

/* The order of the words of the property "capture". */
enum { CAPTURE_ALL, CAPTURE_UNDELIVERED };
/* The order of the words of the property "arm". */
enum { ARM_AUTO, ARM_ALWAYS };

typedef struct Redirector {
    Filter filter;
    /* properties */
    char *indev, *outdev, *in_netdev, *out_netdev;
    bool vnet_hdr_support;
    uint32_t vnet_hdr_len;
    bool enable_when_stopped;
    int capture_mode;
    int arm;
    int acknowledge; /* a LinkMode */
    uint32_t overlap;
    uint32_t keep_tap_ms;
    bool dedup;
    bool raise_queue;
    uint64_t hold_size;
    uint64_t send_queue_size;
    char *on_full; /* NULL: block with capture=undelivered, else drop-newest */
    /* state */
    Tap *in_tap;
    Netdev *foreign;     /* in_netdev or out_netdev if it is not our own */
    SinkLink *sink_link; /* indev */
    FrameReader *reader; /* indev's */
    Outdev out;          /* outdev; with capture=undelivered the source's */
    Capture *capture;    /* in_netdev with capture=all */
    Source *source;      /* in_netdev with capture=undelivered */
    Sink *sink;          /* out_netdev */
    VmListener listener; /* func is NULL: not listening */
    FullPolicy policy;
    uint32_t vnet_len; /* on outdev; 0: no headers there */
    bool exact;        /* see the property */
    Account account;   /* what source and sink do not count themselves */
} Redirector;

extern const Property redirector_props[];

#endif
