/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fills a page: {{name}} is a value of the context, escaped for HTML; {{.}}
 * the value itself. {{#name}}…{{/name}} stands once for each element of a
 * list, once for an object or a true value, else not at all; {{^name}}…
 * {{/name}} just then. Inside, the element is the context, and what it lacks
 * is looked for outside.
 */
#ifndef TF_CLI_TEMPLATE_H
#define TF_CLI_TEMPLATE_H

#include <glib.h>
#include <jansson.h>

/* @template is well-formed: it is the program's own. Owned. */
char *template_fill(const char *template, json_t *context);

#endif
