/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The destination's end of the link: reads frames for the sink, tells a source
 * that asks what has come (wire/link-receiver.h), and hears from it besides
 * frames. In its loop only.
 */
#ifndef TF_SWITCHOVER_SINK_LINK_H
#define TF_SWITCHOVER_SINK_LINK_H

#include "chardev/frame-reader.h"
#include "switchover/sink.h"

typedef struct SinkLinkConfig {
    const char *name; /* for the log; borrowed */
    const char *chardev;
    bool vnet;
    bool answers;       /* a source that asks; else nothing is ever said */
    Sink *sink;         /* NULL, if it does not answer */
    const char *ifname; /* where it injects */
    /* Gets frames, to feed the sink with, and what is malformed. */
    const FrameReaderHandlers *handlers;
    void *opaque;
} SinkLinkConfig;

typedef struct SinkLink SinkLink;

SinkLink *sink_link_new(const SinkLinkConfig *config, GError **errp);
/* Harmless with NULL. */
void sink_link_free(SinkLink *link);

/* Where frames are read; owned by the link. NULL of NULL. */
FrameReader *sink_link_reader(const SinkLink *link);

/* For query-switchover; owned. */
json_t *sink_link_to_json(const SinkLink *link);

#endif
