/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The types of query-qmp-schema that no property table describes: those that
 * commands return and events carry. The type of a new command's reply gets a
 * row here, and its name goes into the command's row (Command.returns).
 */
#ifndef TF_MONITOR_SCHEMA_TYPES_H
#define TF_MONITOR_SCHEMA_TYPES_H

/*
 * One of: an enum (@words alone), an object (@members, perhaps none), a union
 * (@tag is one of its members, @variants names the object type of each case).
 * Members are "name:type", separated by spaces; "name?:type" need not be
 * there, "[type]" is a list.
 */
typedef struct SchemaType {
    const char *name;
    const char *words;
    const char *members;
    const char *tag;
    const char *variants;
} SchemaType;

/* Both end in a row without a name; an event's row is the type of its data. */
extern const SchemaType schema_types[];
extern const SchemaType schema_events[];

#endif
