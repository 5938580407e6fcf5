/* SPDX-License-Identifier: BSD-2-Clause */
/* QMP commands as a person types them: COMMAND KEY=VALUE... */
#ifndef TF_CLI_QMP_H
#define TF_CLI_QMP_H

#include <stdbool.h>

#include <glib.h>
#include <jansson.h>

/* Adds KEY=VALUE words to @args. A value is JSON if it reads as JSON, else a
 * string, null alone excepted; dotted keys make nested objects. */
bool qmp_parse_args(json_t *args, char **words, GError **errp);

#endif
