/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * JSON to text, byte for byte as jansson's json_dumps() with JSON_ENSURE_ASCII
 * writes it, some four times as fast for what statistics consist of: short
 * plain strings and whole numbers. What is not plain is left to jansson. An
 * object or array that stands in several places is written once, and copied.
 */
#ifndef TF_WIRE_JSON_DUMP_H
#define TF_WIRE_JSON_DUMP_H

#include <glib.h>
#include <jansson.h>

/* Appends @value to @out. */
void json_dump(GString *out, json_t *value);

#endif
