/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The human monitor: a command a line, text back. Its commands call the QMP
 * commands, never the core, and so can do nothing that QMP can't.
 *
 * The session is without I/O: bytes in, bytes out, through a line editor.
 * Main thread only.
 */
#ifndef TF_MONITOR_HMP_H
#define TF_MONITOR_HMP_H

#include "object/object.h"

/* Longer lines are refused. */
#define HMP_MAX_LINE 4096

/* What the words behind a command are, for completion. */
typedef enum HmpArgument {
    HMP_ARGUMENT_NONE,
    HMP_ARGUMENT_COMMAND, /* a command's name */
    HMP_ARGUMENT_ID,      /* of an object of the row's kind */
    HMP_ARGUMENT_OPTION,  /* "type,prop=value…", types of the row's kind */
    HMP_ARGUMENT_QOM,     /* a path, then a property */
} HmpArgument;

typedef struct HmpCommand {
    const char *name; /* "stop|s" */
    const char *params;
    const char *help;
    unsigned min, max; /* words that must and may follow */
    bool rest;         /* the last one is the rest of the line */
    /* Appends to @out; @argv ends in NULL. Lines end in \n. */
    void (*run)(GString *out, char **argv);
    HmpArgument argument;
    ObjectKind kind;
} HmpCommand;

/* The tables, each ended by a row without a name. */
extern const HmpCommand hmp_commands[];
extern const HmpCommand hmp_info_commands[]; /* hmp-info.c */

/* The row whose name, or alias, is @word; NULL if there is none. */
const HmpCommand *hmp_find(const HmpCommand *table, const char *word);

/* Adds to @words, as owned strings, what the last word of @line may become;
 * hmp-complete.c. */
void hmp_complete(const char *line, GPtrArray *words);

/* Executes one line. Returns what it prints, owned, valid UTF-8; lines end in
 * CRLF. */
char *hmp_execute(const char *line);

/* Runs a QMP command, takes @args; NULL and an "Error: …" line in @out. */
json_t *hmp_call(GString *out, const char *command, json_t *args);

typedef struct HmpSession HmpSession;

/* @data is valid during the call. */
typedef void HmpSessionOutput(void *opaque, const char *data, size_t size);

/* @output gets banner and prompt before this returns. @terminal: a person
 * sits there, and the terminal leaves the echo to us. */
HmpSession *hmp_session_new(bool terminal, HmpSessionOutput *output,
                            void *opaque);
/* Not from within @output. */
void hmp_session_free(HmpSession *session);

void hmp_session_feed(HmpSession *session, const char *data, size_t size);

#endif
