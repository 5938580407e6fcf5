/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Filters: the elements of a netdev's chain.
 *
 * A filter is one file: a struct that embeds Filter, a property table and a
 * const FilterClass; its name goes into src/filter/meson.build. Only the chain
 * (chain.c) iterates over filters: it skips those that are off or of the other
 * direction, counts, and calls packet(). docs/writing-a-filter.md has a
 * complete example.
 *
 * In its loop only, that of the netdev; except filter_stats_all(),
 * filter_reopen_all() and filter_switchover_all(): control plane only.
 */
#ifndef TF_FILTER_FILTER_H
#define TF_FILTER_FILTER_H

#include "filter/match.h"
#include "netdev/netdev.h"
#include "object/object.h"
#include "packet/drop.h"
#include "packet/packet.h"

typedef struct Filter Filter;
typedef struct FilterClass FilterClass;

const char *drop_cause_name(DropCause cause); /* "dropped-queue-full" */

typedef enum Verdict {
    VERDICT_PASS,     /* to the next filter */
    VERDICT_CONSUMED, /* the filter has it */
    VERDICT_DROP,     /* VERDICT_DROP + a DropCause: dropped, and counted */
} Verdict;

#define VERDICT_DROP_CAUSE(cause) ((Verdict)(VERDICT_DROP + (int)(cause)))

/* Order of the words of the property "queue". */
typedef enum FilterQueue {
    FILTER_QUEUE_ALL,
    FILTER_QUEUE_RX,
    FILTER_QUEUE_TX
} FilterQueue;

struct FilterClass {
    ObjectClass object;
    unsigned drop_causes; /* bits 1 << DropCause: those that can occur */
    /* filter->netdev and all properties are set: check and open the rest. NULL:
     * nothing to do. */
    bool (*setup)(Filter *filter, GError **errp);
    /* It is about to be removed from the chain: the last moment to release
     * frames that it holds. NULL: none. */
    void (*leave)(Filter *filter);
    /* Undoes setup(), even one that failed or was not called. NULL: nothing. */
    void (*cleanup)(Filter *filter);
    /* One frame travelling in @direction. NULL: all pass. */
    Verdict (*packet)(Filter *filter, Direction direction,
                      const Packet *packet);
    /* After the last frame of a batch: send what was gathered. NULL: nothing.
     */
    void (*batch_end)(Filter *filter);
    /* The property status was switched. NULL: nothing to do. */
    void (*status_changed)(Filter *filter);
    /* A property of its own was set at run time; false and an error if that is
     * refused, with the old value restored. NULL: nothing to do. */
    bool (*property_changed)(Filter *filter, const Property *row,
                             GError **errp);
    /* Is the property bpf supported? False and an error if not. NULL: yes. */
    bool (*can_match)(const Filter *filter, GError **errp);
    /* The property bpf was set: for filters that take frames from elsewhere
     * than the chain, see filter_match_program(). NULL: nothing to do. */
    void (*match_changed)(Filter *filter);
    /* SIGHUP: reopen files, which may have been renamed. NULL: none. */
    void (*reopen)(Filter *filter);
    /* Does it want frames with ORIGIN_OBSERVED? NULL: yes if it has packet().
     */
    bool (*observes)(const Filter *filter);
    /* Appends its own counters with filter_stats_add(). NULL: none. */
    void (*stats)(Filter *filter, json_t *counters);
    /* Its entry of query-switchover (owned), or NULL. Hook NULL: none. */
    json_t *(*switchover)(Filter *filter);
};

struct Filter {
    Object object;
    /* properties */
    char *netdev_id;
    int queue; /* FilterQueue */
    char *status;
    char *position;
    int insert;
    char *bpf;
    /* state */
    Netdev *netdev;
    bool on;
    bool in_chain;
    bool aside;   /* it takes frames from elsewhere: the chain skips it */
    Match *match; /* by the property bpf; NULL: every frame */
    Counter seen[DIRECTION__MAX];
    Counter dropped[DROP__MAX];
};

extern const ObjectClass filter_class; /* the abstract base */

static inline const FilterClass *filter_get_class(const Filter *filter)
{
    return (const FilterClass *)filter->object.class;
}

static inline void filter_drop(Filter *filter, DropCause cause,
                               uint64_t packets, uint64_t bytes)
{
    counter_add(&filter->dropped[cause], packets, bytes);
}

/* Does the property bpf match @packet? The chain checks that for its frames; a
 * filter has to for frames that it takes from elsewhere. */
static inline bool filter_matches(const Filter *filter, const Packet *packet)
{
    return !filter->match || match_packet(filter->match, packet);
}

/* The same as a program for capture_set_match(); NULL: every frame. Valid until
 * match_changed(). */
const struct sock_fprog *filter_match_program(const Filter *filter);

/* Appends {"name", "packets", "bytes"} to @counters. */
void filter_stats_add(json_t *counters, const char *name, Counter counter);

/* One entry of query-netfilter-stats (contract: NetFilterStats); owned. */
json_t *filter_stats(Filter *filter);

/* The entries of all filters, in netdev then chain order, or of @name only;
 * NULL and an error for a name that is no filter's. */
json_t *filter_stats_all(const char *name, GError **errp);

/* Has all filters open their files again (SIGHUP after a rotation). */
void filter_reopen_all(void);

/* The entries of query-switchover. */
json_t *filter_switchover_all(void);

#endif
