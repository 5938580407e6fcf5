/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Filters: what stands in a netdev's chain.
 *
 * A new filter is one file: a struct that embeds Filter, a property table and
 * a const FilterClass; its name goes into src/filter/meson.build. The chain
 * alone walks filters: it skips those that are off or of another direction,
 * counts, and calls packet(). docs/writing-a-filter.md shows one whole.
 *
 * In its loop only.
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
    VERDICT_DROP,     /* VERDICT_DROP + a DropCause: gone, and counted */
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
    /* The filter knows its netdev; check and open the rest. NULL: there is
     * nothing more. */
    bool (*setup)(Filter *filter, GError **errp);
    /* It is about to be taken out of the chain: the last moment to let go
     * what it holds. NULL: nothing. */
    void (*leave)(Filter *filter);
    /* Undoes setup(), even one that failed or was not called. NULL: nothing. */
    void (*cleanup)(Filter *filter);
    /* One frame travelling in @direction. NULL: every frame passes by. */
    Verdict (*packet)(Filter *filter, Direction direction,
                      const Packet *packet);
    /* All frames of a batch were seen: send what was gathered. */
    void (*batch_end)(Filter *filter);
    /* The property status was switched. NULL: nothing to do. */
    void (*status_changed)(Filter *filter);
    /* One of its own properties was set; false and an error: @row has its old
     * value again. NULL: the field is all there is. */
    bool (*property_changed)(Filter *filter, const Property *row,
                             GError **errp);
    /* Can it leave frames out (bpf)? Else an error. NULL: yes. */
    bool (*can_match)(const Filter *filter, GError **errp);
    /* The property bpf was set, see filter_match_program(). NULL: the chain
     * asks for each frame. */
    void (*match_changed)(Filter *filter);
    /* SIGHUP: its files may have been moved. NULL: it has none. */
    void (*reopen)(Filter *filter);
    /* Does it want to see what the netdev only observes? NULL: yes if it has
     * packet(). */
    bool (*observes)(const Filter *filter);
    /* Adds its own counters, in order, by means of filter_stats_add(). */
    void (*stats)(Filter *filter, json_t *counters);
    /* An entry of query-switchover (owned), or NULL. */
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
    bool aside;   /* it takes its frames elsewhere: the chain passes it by */
    Match *match; /* what it is meant for; NULL: every frame */
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

/* Is the filter meant for @packet (property bpf)? The chain asks for what
 * travels in it; the filter asks for what it takes from elsewhere. */
static inline bool filter_matches(const Filter *filter, const Packet *packet)
{
    return !filter->match || match_packet(filter->match, packet);
}

/* What filter_matches() asks for, for capture_set_match(); NULL: every frame.
 * Valid until match_changed(). */
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
