/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The strings of QEMU's JSON, made strict: either quote stands around them,
 * \' is an escape, and a code point that can't be a character is an error
 * (QEMU docs/interop/qmp-spec, section 2.1.1).
 */
#ifndef TF_WIRE_JSON_STRING_H
#define TF_WIRE_JSON_STRING_H

#include <glib.h>

/*
 * Appends the string token @raw, quotes included, to @out in strict JSON.
 * Returns NULL, or what is wrong with it (owned), with @out as it was.
 */
char *json_string_convert(const char *raw, GString *out);

#endif
