/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * query-qmp-schema: commands, events and types in QEMU's introspection format,
 * made from the tables. As with QEMU a type's name means nothing; a client
 * begins at a command and follows its types.
 */
#ifndef TF_MONITOR_SCHEMA_H
#define TF_MONITOR_SCHEMA_H

#include <jansson.h>

/* Returns the list, owned. */
json_t *schema_qmp(void);

#endif
