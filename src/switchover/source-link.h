/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The source's end of the link: follows the peer's acknowledgements
 * (wire/link-sender.h), and resumes after a lost connection without losing a
 * frame. The writer holds the frames; the source owns both. In its loop only.
 */
#ifndef TF_SWITCHOVER_SOURCE_LINK_H
#define TF_SWITCHOVER_SOURCE_LINK_H

#include "chardev/frame-writer.h"
#include "wire/link-record.h"

#include <jansson.h>

/* The order of the words of the property "acknowledge". */
typedef enum LinkMode {
    LINK_MODE_AUTO, /* LINK_ASK when a connection was lost */
    LINK_MODE_ON,   /* LINK_ASK on each */
    LINK_MODE_OFF,
} LinkMode;

extern const char *const link_mode_words[];

typedef struct SourceLink SourceLink;

/* Appends records (wire/link-record.h) to @records. */
typedef void SourceLinkRecords(void *opaque, GByteArray *records);

/* @writer is borrowed, and may have a peer already. @name: for the log;
 * borrowed.
 * @vnet: with virtio-net headers on the wire. @append is called, and its
 * records are sent, at the begin of each acknowledged connection. */
SourceLink *source_link_new(const char *name, LinkMode mode, bool vnet,
                            FrameWriter *writer, SourceLinkRecords *append,
                            void *opaque);
/* Harmless with NULL. */
void source_link_free(SourceLink *link);

/* The writer's connection was made, or lost. */
void source_link_opened(SourceLink *link);
void source_link_closed(SourceLink *link);
/* Frames are going to be shipped that an earlier source may have shipped: sends
 * LINK_ASK even with LINK_MODE_AUTO. To be called before the first of them. */
void source_link_insist(SourceLink *link);
/* The peer has sent @n bytes. True if it has settled more frames. */
bool source_link_said(SourceLink *link, const uint8_t *bytes, size_t n);

/* The VM resumed here, and frame_writer_stop() was called: sends
 * LINK_CANCELLED.
 */
void source_link_cancel(SourceLink *link);

/* Sends @record, if the connection is acknowledged. */
void source_link_tell(SourceLink *link, const LinkRecord *record);
/* Sends the records that @append appends, if the connection is acknowledged. */
void source_link_say(SourceLink *link, SourceLinkRecords *append);

/* The source is about to be freed; its writer still exists: sends LINK_END. */
void source_link_end(SourceLink *link);

/* Trims the frames that won't have to be sent again. */
void source_link_trim(SourceLink *link);

/* For query-switchover; owned. */
json_t *source_link_to_json(const SourceLink *link);

#endif
