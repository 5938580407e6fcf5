/* SPDX-License-Identifier: BSD-2-Clause */
/* The human monitor: what a word may become, from the tables. */
#include "monitor/hmp.h"

#include "monitor/qom.h"

#include <string.h>

/* Candidates that begin with what is typed. */
typedef struct HmpMatches {
    GPtrArray *words; /* owned strings */
    const char *typed;
} HmpMatches;

static void hmp_match(HmpMatches *to, const char *word)
{
    if (g_str_has_prefix(word, to->typed)) {
        g_ptr_array_add(to->words, g_strdup(word));
    }
}

static void hmp_match_commands(HmpMatches *to, const HmpCommand *table)
{
    for (const HmpCommand *row = table; row->name; row++) {
        g_auto(GStrv) names = g_strsplit(row->name, "|", -1);

        for (char **name = names; *name; name++) {
            hmp_match(to, *name);
        }
    }
}

static void hmp_match_ids(HmpMatches *to, ObjectKind kind)
{
    GPtrArray *list = object_list(kind);

    for (guint i = 0; i < list->len; i++) {
        hmp_match(to, ((const Object *)list->pdata[i])->id);
    }
}

static void hmp_match_row(const Property *row, void *opaque)
{
    hmp_match(opaque, row->name);
}

/* What is typed of "path property value". */
static void hmp_match_qom(HmpMatches *to, char **argv, unsigned n)
{
    QomNode node;

    if (n == 0) {
        for (int kind = 0; kind < OBJECT_KIND__MAX; kind++) {
            GPtrArray *list = object_list((ObjectKind)kind);
            const char *name = qom_container_name((ObjectKind)kind);

            for (guint i = 0; i < list->len; i++) {
                const Object *obj = list->pdata[i];
                g_autofree char *path =
                    g_strdup_printf("/%s/%s", name, obj->id);

                hmp_match(to, to->typed[0] == '/' ? path : obj->id);
            }
        }
    } else if (n == 1 && qom_resolve(argv[0], &node, NULL) &&
               node.type == QOM_OBJECT) {
        object_class_foreach_property(node.obj->class, hmp_match_row, to);
    }
}

/* One property of an option, and what it is typed behind. */
typedef struct HmpOption {
    HmpMatches *to;
    const char *before; /* what is typed up to this property */
} HmpOption;

static void hmp_match_name(const Property *row, void *opaque)
{
    const HmpOption *option = opaque;
    g_autofree char *word = g_strconcat(option->before, row->name, "=", NULL);

    if (!(row->flags & PROP_READ_ONLY)) {
        hmp_match(option->to, word);
    }
}

static void hmp_match_values(const HmpOption *option, const Property *row)
{
    static const char *const on_off[] = {"on", "off", NULL};
    const char *const *values = row->type == PROP_BOOL ? on_off : row->values;

    for (; values && *values; values++) {
        g_autofree char *word =
            g_strconcat(option->before, row->name, "=", *values, NULL);

        hmp_match(option->to, word);
    }
}

/* "type,prop=value,prop=…": the type, then its properties. */
static void hmp_match_option(HmpMatches *to, ObjectKind kind)
{
    const char *comma = strrchr(to->typed, ',');
    g_autofree char *before =
        g_strndup(to->typed, comma ? (size_t)(comma - to->typed) + 1 : 0);
    g_autofree char *type = g_strndup(before, strcspn(before, ","));
    const ObjectClass *class = object_class_find(kind, type);
    const char *name = to->typed + strlen(before);
    g_autofree char *property = g_strndup(name, strcspn(name, "="));
    HmpOption option = {.to = to, .before = before};
    const Property *row;

    if (!comma) {
        for (const ObjectClass *const *c = object_classes(kind); *c; c++) {
            hmp_match(to, (*c)->name);
        }
    } else if (class && strchr(name, '=')) {
        row = object_class_find_property(class, property);
        if (row) {
            hmp_match_values(&option, row);
        }
    } else if (class) {
        static const Property id = {.name = "id", .type = PROP_STRING};

        hmp_match_name(&id, &option);
        object_class_foreach_property(class, hmp_match_name, &option);
    }
}

/* The @n-th argument of @row; @argv has those in front of it. */
static void hmp_match_argument(HmpMatches *to, const HmpCommand *row,
                               char **argv, unsigned n)
{
    switch (row->argument) {
    case HMP_ARGUMENT_NONE:
        break;
    case HMP_ARGUMENT_COMMAND:
        if (n == 0) {
            hmp_match_commands(to, hmp_commands);
        } else if (n == 1 && strcmp(argv[0], "info") == 0) {
            hmp_match_commands(to, hmp_info_commands);
        }
        break;
    case HMP_ARGUMENT_ID:
        if (n == 0) {
            hmp_match_ids(to, row->kind);
        }
        break;
    case HMP_ARGUMENT_OPTION:
        if (n == 0) {
            hmp_match_option(to, row->kind);
        }
        break;
    case HMP_ARGUMENT_QOM:
        hmp_match_qom(to, argv, n);
        break;
    }
}

void hmp_complete(const char *line, GPtrArray *words)
{
    g_auto(GStrv) split = g_strsplit_set(line, " \t", -1);
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    const HmpCommand *table = hmp_commands, *row = NULL;
    HmpMatches to = {.words = words, .typed = ""};
    unsigned n = 0;

    for (char **word = split; *word; word++) {
        if (**word || !word[1]) { /* the last counts though it is empty */
            g_ptr_array_add(argv, *word);
        }
    }
    if (argv->len == 0) {
        g_ptr_array_add(argv, (void *)"");
    }
    to.typed = argv->pdata[argv->len - 1];
    while (n + 1 < argv->len && table) {
        row = hmp_find(table, argv->pdata[n++]);
        table =
            row && strcmp(row->name, "info") == 0 ? hmp_info_commands : NULL;
    }
    if (table) {
        hmp_match_commands(&to, table);
    } else if (row) {
        hmp_match_argument(&to, row, (char **)argv->pdata + n,
                           argv->len - 1 - n);
    }
}
