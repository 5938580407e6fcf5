/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parser of vm-lines: words about a VM's run state out of a byte stream, as
 * a state machine without I/O.
 *
 * A line is a word; blank lines and comments ('#') are skipped. A line that
 * begins with '{' begins a JSON object of any number of lines, whose word is
 * "SOURCE.EVENT", made of its members "source" and "event": the events of Cloud
 * Hypervisor (its docs/event-monitor.md). Both may alternate.
 */
#ifndef TF_VM_WORD_READER_H
#define TF_VM_WORD_READER_H

#include "wire/json-framer.h"

/* Longest line, and object, in bytes; longer ones are ignored. */
#define WORD_READER_LINE_MAX 256
#define WORD_READER_OBJECT_MAX (64 * 1024)

typedef struct WordReader {
    GString *line; /* what came of the unfinished line, bounded */
    JsonFramer json;
    bool in_object;
} WordReader;

/* @word: borrowed. It may be any text: the stream is not to be trusted. */
typedef void WordReaderFunc(void *opaque, const char *word);

void word_reader_init(WordReader *reader);
void word_reader_free(WordReader *reader);

/* Discards an incomplete line or object, for a new writer. */
void word_reader_reset(WordReader *reader);

/* Feeds @size bytes; @func is called for each word that they complete. */
void word_reader_feed(WordReader *reader, const char *data, size_t size,
                      WordReaderFunc *func, void *opaque);

#endif
