/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The destination's end of the link: reads frames for the sink, acknowledges
 * them to a source that supports it (wire/link-receiver.h), and handles the
 * source's records. In its loop only.
 */
#ifndef TF_SWITCHOVER_SINK_LINK_H
#define TF_SWITCHOVER_SINK_LINK_H

#include "chardev/frame-reader.h"
#include "switchover/sink.h"

typedef struct SinkLinkConfig {
    const char *name; /* for the log; borrowed */
    const char *chardev;
    bool vnet;
    bool answers;       /* LINK_ASK; else nothing is ever sent */
    Sink *sink;         /* NULL if it does not answer */
    const char *ifname; /* of the TAP */
    /* packets(), which is to feed the sink, and malformed() are called. */
    const FrameReaderHandlers *handlers;
    void *opaque;
} SinkLinkConfig;

typedef struct SinkLink SinkLink;

SinkLink *sink_link_new(const SinkLinkConfig *config, GError **errp);
/* Harmless with NULL. */
void sink_link_free(SinkLink *link);

/* The reader, owned by the link; NULL for NULL. */
FrameReader *sink_link_reader(const SinkLink *link);

/* For query-switchover; owned. */
json_t *sink_link_to_json(const SinkLink *link);

#endif
