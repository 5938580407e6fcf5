/* SPDX-License-Identifier: BSD-2-Clause */
#include "filter/filter.h"

#include "base/loop-thread.h"
#include "filter/chain.h"

#include <string.h>

/* The order of the words of the property "insert". */
enum { FILTER_INSERT_BEFORE, FILTER_INSERT_BEHIND };

static const char *const drop_cause_names[DROP__MAX] = {
    [DROP_QUEUE_FULL] = "dropped-queue-full",
    [DROP_TAP_FULL] = "dropped-tap-full",
    [DROP_RING] = "dropped-ring",
    [DROP_OVERSIZE] = "dropped-oversize",
    [DROP_INJECT] = "dropped-inject",
    [DROP_DISCONNECTED] = "dropped-disconnected",
};

const char *drop_cause_name(DropCause cause)
{
    return drop_cause_names[cause];
}

/* Attaching */

static bool filter_observes(const Filter *self)
{
    const FilterClass *class = filter_get_class(self);

    return self->on && !self->aside && class->packet &&
           (!class->observes || class->observes(self));
}

const struct sock_fprog *filter_match_program(const Filter *self)
{
    return self->match ? match_program(self->match) : NULL;
}

/* The chain changed: tells the netdev whether anybody looks, and if it is just
 * one, at what. */
static void filter_update_netdev(Netdev *netdev)
{
    const Filter *only = NULL;
    unsigned n = 0;

    for (guint i = 0; i < netdev->filters->len; i++) {
        if (filter_observes(netdev->filters->pdata[i])) {
            only = netdev->filters->pdata[i];
            n++;
        }
    }
    netdev_set_filtered(netdev, n > 0,
                        n == 1 ? filter_match_program(only) : NULL);
}

/* The filter that position=id=ID names, or NULL and an error. */
static Filter *filter_find_reference(const Filter *self, GError **errp)
{
    const char *id = self->position + strlen("id=");
    Object *obj = object_find(OBJECT_KIND_OBJECT, id);

    if (!obj || !object_is_a(obj, &filter_class)) {
        tf_error_set(errp, "filter '%s' not found", id);
        return NULL;
    }
    if (((Filter *)obj)->netdev != self->netdev) {
        tf_error_set(errp, "filter '%s' belongs to a different netdev", id);
        return NULL;
    }
    return (Filter *)obj;
}

/* Sets @index to where in the chain the filter belongs. */
static bool filter_find_place(const Filter *self, int *index, GError **errp)
{
    guint place = 0;
    Filter *reference;

    if (strcmp(self->position, "head") == 0) {
        *index = 0;
    } else if (strcmp(self->position, "tail") == 0) {
        *index = -1;
    } else if (g_str_has_prefix(self->position, "id=")) {
        reference = filter_find_reference(self, errp);
        if (!reference) {
            return false;
        }
        g_ptr_array_find(self->netdev->filters, reference, &place);
        *index = (int)place + (self->insert == FILTER_INSERT_BEHIND);
    } else {
        return tf_error_set(errp, "Parameter 'position' expects 'head', "
                                  "'tail' or 'id=<id>'");
    }
    return true;
}

static bool filter_parse_status(Filter *self, GError **errp)
{
    if (strcmp(self->status, "on") != 0 && strcmp(self->status, "off") != 0) {
        return tf_error_set(errp, "Invalid value for netfilter status, should "
                                  "be 'on' or 'off'");
    }
    self->on = strcmp(self->status, "on") == 0;
    return true;
}

/* Sets @match to what bpf says. */
static bool filter_make_match(const Filter *self, Match **match, GError **errp)
{
    const FilterClass *class = filter_get_class(self);

    if (!self->bpf || !self->bpf[0]) {
        *match = NULL;
        return true;
    }
    if (class->can_match && !class->can_match(self, errp)) {
        return false;
    }
    *match = match_new(self->bpf, errp);
    return *match != NULL;
}

/* Puts bpf into force. A bad expression leaves what was. */
static bool filter_set_match(Filter *self, GError **errp)
{
    const FilterClass *class = filter_get_class(self);
    Match *match, *before = self->match;

    if (!filter_make_match(self, &match, errp)) {
        g_free(self->bpf);
        self->bpf = g_strdup(self->match ? match_expression(self->match) : "");
        return false;
    }
    self->match = match;
    if (self->in_chain) {
        filter_update_netdev(self->netdev);
        if (class->match_changed) {
            class->match_changed(self);
        }
    }
    match_free(before);
    return true;
}

/* In the netdev's loop. */
static bool filter_open(Filter *self, GError **errp)
{
    const FilterClass *class = filter_get_class(self);
    int index = -1;

    if (!filter_find_place(self, &index, errp) ||
        !filter_set_match(self, errp) ||
        (class->setup && !class->setup(self, errp))) {
        return false;
    }
    /* What it is placed by may not have been moved by setup(). */
    g_ptr_array_insert(self->netdev->filters, index, self);
    self->in_chain = true;
    self->netdev->chain = chain_run;
    filter_update_netdev(self->netdev);
    return true;
}

static bool filter_complete(Object *obj, GError **errp)
{
    Filter *self = (Filter *)obj;
    Loop *before;
    bool ok;

    if (!filter_parse_status(self, errp)) {
        return false;
    }
    self->netdev = netdev_find(self->netdev_id);
    if (!self->netdev) {
        return tf_error_set(errp,
                            "Parameter 'netdev' expects a network backend id");
    }
    before = loop_enter(self->netdev->loop);
    ok = filter_open(self, errp);
    loop_leave(before);
    return ok;
}

static void filter_close(Filter *self)
{
    if (self->in_chain) {
        if (filter_get_class(self)->leave) {
            filter_get_class(self)->leave(self);
        }
        g_ptr_array_remove(self->netdev->filters, self);
        filter_update_netdev(self->netdev);
    }
    if (filter_get_class(self)->cleanup) {
        filter_get_class(self)->cleanup(self);
    }
    match_free(self->match);
}

static void filter_finalize(Object *obj)
{
    Filter *self = (Filter *)obj;
    Loop *before;

    if (self->netdev) {
        before = loop_enter(self->netdev->loop);
        filter_close(self);
        loop_leave(before);
    }
}

static bool filter_switch(Filter *self, GError **errp)
{
    const FilterClass *class = filter_get_class(self);
    bool before = self->on;

    if (!filter_parse_status(self, errp)) {
        g_free(self->status);
        self->status = g_strdup(before ? "on" : "off");
        return false;
    }
    if (self->on != before) {
        if (class->status_changed) {
            class->status_changed(self);
        }
        filter_update_netdev(self->netdev);
    }
    return true;
}

static bool filter_set(Filter *self, const Property *row, GError **errp)
{
    const FilterClass *class = filter_get_class(self);

    if (strcmp(row->name, "status") == 0) {
        return filter_switch(self, errp);
    }
    if (strcmp(row->name, "bpf") == 0) {
        return filter_set_match(self, errp);
    }
    return !class->property_changed || class->property_changed(self, row, errp);
}

static bool filter_changed(Object *obj, const Property *row, GError **errp)
{
    Filter *self = (Filter *)obj;
    Loop *before = loop_enter(self->netdev->loop);
    bool ok = filter_set(self, row, errp);

    loop_leave(before);
    return ok;
}

/* All filters, in netdev then chain order; the array is the caller's. */
static GPtrArray *filter_list_all(void)
{
    GPtrArray *netdevs = object_list(OBJECT_KIND_NETDEV);
    GPtrArray *all = g_ptr_array_new();

    for (guint i = 0; i < netdevs->len; i++) {
        GPtrArray *filters = ((Netdev *)netdevs->pdata[i])->filters;

        for (guint j = 0; j < filters->len; j++) {
            g_ptr_array_add(all, filters->pdata[j]);
        }
    }
    return all;
}

void filter_reopen_all(void)
{
    g_autoptr(GPtrArray) filters = filter_list_all();

    for (guint i = 0; i < filters->len; i++) {
        Filter *filter = filters->pdata[i];
        Loop *before = loop_enter(filter->netdev->loop);

        if (filter_get_class(filter)->reopen) {
            filter_get_class(filter)->reopen(filter);
        }
        loop_leave(before);
    }
}

/* Statistics */

/* All that is 0 shares one value, which nobody changes. */
static json_t *stats_number(uint64_t value)
{
    static json_t *zero;

    if (value > 0) {
        return json_integer((json_int_t)value);
    }
    if (!zero) {
        zero = json_integer(0);
    }
    return json_incref(zero);
}

/* json_pack() reads its format each time, at four times the price. */
static void stats_set(json_t *entry, const char *name, uint64_t value)
{
    json_object_set_new_nocheck(entry, name, stats_number(value));
}

static void stats_set_text(json_t *entry, const char *name, const char *text)
{
    json_object_set_new_nocheck(entry, name, json_string_nocheck(text));
}

static json_t *stats_entry(const char *name, Counter counter)
{
    json_t *entry = json_object();

    stats_set_text(entry, "name", name);
    stats_set(entry, "packets", counter.packets);
    stats_set(entry, "bytes", counter.bytes);
    return entry;
}

/* Most counters of most filters are 0: all replies share one entry for each
 * name, which nobody changes. */
static json_t *stats_zero(const char *name)
{
    static GHashTable *zeros;
    json_t *entry;

    if (!zeros) {
        zeros = g_hash_table_new(NULL, NULL); /* by address: a literal */
    }
    entry = g_hash_table_lookup(zeros, name);
    if (!entry) {
        entry = stats_entry(name, (Counter){0});
        g_hash_table_insert(zeros, (gpointer)name, entry);
    }
    return json_incref(entry);
}

void filter_stats_add(json_t *counters, const char *name, Counter counter)
{
    json_array_append_new(counters, counter.packets || counter.bytes
                                        ? stats_entry(name, counter)
                                        : stats_zero(name));
}

json_t *filter_stats(Filter *self)
{
    const FilterClass *class = filter_get_class(self);
    const Counter *tx = &self->seen[DIRECTION_TX];
    const Counter *rx = &self->seen[DIRECTION_RX];
    json_t *entry = json_object();
    json_t *counters = json_array();

    stats_set_text(entry, "name", self->object.id);
    stats_set_text(entry, "netdev", self->netdev->object.id);
    stats_set_text(entry, "type", self->object.class->name);
    stats_set(entry, "packets-tx", tx->packets);
    stats_set(entry, "packets-rx", rx->packets);
    stats_set(entry, "bytes-tx", tx->bytes);
    stats_set(entry, "bytes-rx", rx->bytes);
    if (class->stats) {
        class->stats(self, counters);
    }
    for (unsigned i = 0; i < DROP__MAX; i++) {
        if (class->drop_causes & (1u << i)) {
            filter_stats_add(counters, drop_cause_names[i], self->dropped[i]);
        }
    }
    if (json_array_size(counters) > 0) {
        json_object_set_new(entry, "counters", counters);
    } else {
        json_decref(counters);
    }
    return entry;
}

json_t *filter_stats_all(const char *name, GError **errp)
{
    g_autoptr(GPtrArray) filters = filter_list_all();
    json_t *entries = json_array();

    for (guint i = 0; i < filters->len; i++) {
        Filter *filter = filters->pdata[i];

        if (!name || strcmp(name, filter->object.id) == 0) {
            json_array_append_new(entries, filter_stats(filter));
            loop_threads_yield();
        }
    }
    if (name && json_array_size(entries) == 0) {
        json_decref(entries);
        tf_error_set(errp, "filter '%s' not found", name);
        return NULL;
    }
    return entries;
}

json_t *filter_switchover_all(void)
{
    g_autoptr(GPtrArray) filters = filter_list_all();
    json_t *entries = json_array();

    for (guint i = 0; i < filters->len; i++) {
        Filter *filter = filters->pdata[i];
        const FilterClass *class = filter_get_class(filter);
        json_t *entry = class->switchover ? class->switchover(filter) : NULL;

        if (entry) {
            json_array_append_new(entries, entry);
        }
    }
    return entries;
}

static const char *const queue_words[] = {"all", "rx", "tx", NULL};
static const char *const insert_words[] = {"before", "behind", NULL};

static const Property filter_props[] = {
    {.name = "netdev",
     PROP_FIELD_STRING(Filter, netdev_id),
     .flags = PROP_REQUIRED,
     .since = "0.1",
     .doc = "id of the netdev whose packets it sees"},
    {.name = "queue",
     PROP_FIELD_ENUM(Filter, queue),
     .def = "all",
     .enum_name = "NetFilterDirection",
     .values = queue_words,
     .since = "0.1",
     .doc = "tx: packets toward the guest; rx: packets from it; all: both"},
    {.name = "status",
     PROP_FIELD_STRING(Filter, status),
     .def = "on",
     .since = "0.1",
     .doc = "off: packets pass by as if it were not there"},
    {.name = "position",
     PROP_FIELD_STRING(Filter, position),
     .def = "tail",
     .since = "0.1",
     .doc = "where in the chain: head, tail, or id=ID of another filter"},
    {.name = "insert",
     PROP_FIELD_ENUM(Filter, insert),
     .def = "behind",
     .enum_name = "NetfilterInsert",
     .values = insert_words,
     .since = "0.1",
     .doc = "with position=id=ID: before or behind it"},
    {.name = "bpf",
     PROP_FIELD_STRING(Filter, bpf),
     .since = "0.1",
     .doc = "a pcap-filter expression; frames that do not match pass by"},
    PROP_END,
};

const ObjectClass filter_class = {
    .name = "netfilter",
    .kind = OBJECT_KIND_OBJECT,
    .order = OBJECT_ORDER_BEHIND_NETDEVS,
    .size = sizeof(Filter),
    .props = filter_props,
    .complete = filter_complete,
    .finalize = filter_finalize,
    .changed = filter_changed,
};
