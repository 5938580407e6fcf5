/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The source's end of the link: what its peer has got of what was shipped
 * (wire/link-sender.h), so that a lost connection loses nothing. Between the
 * writer, which holds the frames, and the source, which owns both. In its loop
 * only.
 */
#ifndef TF_SWITCHOVER_SOURCE_LINK_H
#define TF_SWITCHOVER_SOURCE_LINK_H

#include "chardev/frame-writer.h"

#include <jansson.h>

/* The order of the words of the property "acknowledge". */
typedef enum LinkMode {
    LINK_MODE_AUTO, /* asks when a connection was lost */
    LINK_MODE_ON,   /* asks on each */
    LINK_MODE_OFF,
} LinkMode;

extern const char *const link_mode_words[];

typedef struct SourceLink SourceLink;

/* Appends records (wire/link-record.h). */
typedef void SourceLinkWord(void *opaque, GByteArray *records);

/* @writer is told of what it needs by the functions below, and may have a peer
 * already. @name: for the log; borrowed. @vnet: with headers on the wire.
 * @word is asked whenever a peer begins to listen. */
SourceLink *source_link_new(const char *name, LinkMode mode, bool vnet,
                            FrameWriter *writer, SourceLinkWord *word,
                            void *opaque);
/* Harmless with NULL. */
void source_link_free(SourceLink *link);

void source_link_opened(SourceLink *link);
void source_link_closed(SourceLink *link);
/* Frames are to be shipped that another source may have shipped before: asks,
 * even with LINK_MODE_AUTO. Before the first of them. */
void source_link_insist(SourceLink *link);
/* True if the peer has found a place for more frames. */
bool source_link_said(SourceLink *link, const uint8_t *bytes, size_t n);

/* The VM resumed here; frame_writer_stop() came before. */
void source_link_cancel(SourceLink *link);

/* It is to be told now what @word appends, if it listens. */
void source_link_say(SourceLink *link, SourceLinkWord *word);

/* The source goes; its writer is still there. */
void source_link_end(SourceLink *link);

/* Removes what was shipped and won't have to be again. */
void source_link_trim(SourceLink *link);

/* For query-switchover; owned. */
json_t *source_link_to_json(const SourceLink *link);

#endif
