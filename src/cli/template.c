/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/template.h"

#include <stdbool.h>
#include <string.h>

#define TEMPLATE_DEPTH 16

/* Contexts, outermost first. */
typedef struct Scope {
    json_t *contexts[TEMPLATE_DEPTH];
    unsigned n;
} Scope;

static const char *template_run(GString *out, const char *at, Scope *scope,
                                bool silent);

static json_t *scope_find(const Scope *scope, const char *name)
{
    if (strcmp(name, ".") == 0) {
        return scope->contexts[scope->n - 1];
    }
    for (unsigned i = scope->n; i > 0; i--) {
        json_t *value = json_object_get(scope->contexts[i - 1], name);

        if (value) {
            return value;
        }
    }
    return NULL;
}

static void template_put(GString *out, json_t *value)
{
    if (json_is_string(value)) {
        g_autofree char *escaped =
            g_markup_escape_text(json_string_value(value), -1);

        g_string_append(out, escaped);
    } else if (json_is_integer(value)) {
        g_string_append_printf(out, "%" JSON_INTEGER_FORMAT,
                               json_integer_value(value));
    }
}

static bool template_holds(json_t *value)
{
    return value && !json_is_null(value) && !json_is_false(value) &&
           (!json_is_array(value) || json_array_size(value) > 0);
}

static const char *template_inside(GString *out, const char *at, Scope *scope,
                                   json_t *context)
{
    const char *end;

    g_assert(scope->n < TEMPLATE_DEPTH);
    scope->contexts[scope->n++] = context;
    end = template_run(out, at, scope, false);
    scope->n--;
    return end;
}

/* The section that begins at @at; returns what is behind it. */
static const char *template_section(GString *out, const char *at, Scope *scope,
                                    json_t *value, bool wanted)
{
    const char *end = template_run(NULL, at, scope, true);
    json_t *element;
    size_t i;

    if (!wanted) {
        return end;
    }
    if (json_is_array(value) && template_holds(value)) {
        json_array_foreach (value, i, element) {
            template_inside(out, at, scope, element);
        }
    } else {
        template_inside(out, at, scope, value);
    }
    return end;
}

/* Up to the end of the section that @at is in, or of the template; @silent:
 * puts nothing out. Returns what is behind it. */
static const char *template_run(GString *out, const char *at, Scope *scope,
                                bool silent)
{
    const char *open;

    while ((open = strstr(at, "{{"))) {
        const char *close = strstr(open, "}}");
        g_autofree char *name = NULL;
        json_t *value;

        g_assert(close);
        name = g_strndup(open + 2, (gsize)(close - open - 2));
        if (!silent) {
            g_string_append_len(out, at, open - at);
        }
        at = close + 2;
        if (name[0] == '/') {
            return at;
        }
        value = silent ? NULL
                       : scope_find(scope,
                                    name + (name[0] == '#' || name[0] == '^'));
        if (name[0] == '#' || name[0] == '^') {
            bool wanted = template_holds(value) == (name[0] == '#');

            at = template_section(out, at, scope, value, !silent && wanted);
        } else if (!silent) {
            template_put(out, value);
        }
    }
    if (!silent) {
        g_string_append(out, at);
    }
    return at + strlen(at);
}

char *template_fill(const char *template, json_t *context)
{
    GString *out = g_string_new(NULL);
    Scope scope = {.contexts = {context}, .n = 1};

    template_run(out, template, &scope, false);
    return g_string_free(out, FALSE);
}
