/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What -help and its like print, made from the tables of types, properties,
 * commands and options.
 */
#ifndef TF_DAEMON_HELP_H
#define TF_DAEMON_HELP_H

#include "object/object.h"

/* The types of @kind; owned. */
char *help_types(ObjectKind kind);

/* The properties of a type; owned. */
char *help_type(const ObjectClass *class);

/* All of it as JSON (-dump-schema); owned. */
char *help_schema(void);

#endif
