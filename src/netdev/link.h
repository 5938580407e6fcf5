/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Network interfaces through rtnetlink: what an interface is, what it has
 * counted, and when something happens to it. One socket for questions, one
 * for notifications, made at first use, in the network namespace of that
 * moment. Main thread only.
 */
#ifndef TF_NETDEV_LINK_H
#define TF_NETDEV_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>
#include <linux/if.h>

/* What a TAP has counted since it was made (linux/if_link.h,
 * rtnl_link_stats64). tx is toward the guest: a frame counts when the VMM
 * takes it out of the TAP's queue, or as dropped when the queue was full. */
typedef struct LinkCounters {
    uint64_t tx_packets;
    uint64_t tx_dropped;
} LinkCounters;

/* Costs one system call pair, some 10 us. False if it is gone. */
bool link_read_counters(int ifindex, LinkCounters *counters);

typedef struct LinkState {
    int ifindex;         /* 0: there is none of that name */
    bool up;             /* IFF_UP: it takes frames */
    bool carrier;        /* IFF_LOWER_UP: somebody has the other end open */
    uint32_t txqueuelen; /* packets */
} LinkState;

typedef struct LinkWatch {
    char ifname[IFNAMSIZ];
    LinkState state; /* all watches of a name have the same */
    /* @state differs from before. May not add or remove a watch. */
    void (*changed)(void *opaque, const LinkState *before);
    void *opaque;
} LinkWatch;

/* Reads the state of @ifname and follows it until link_watch_remove(). */
bool link_watch_add(LinkWatch *watch, const char *ifname,
                    void (*changed)(void *opaque, const LinkState *before),
                    void *opaque, GError **errp);
void link_watch_remove(LinkWatch *watch);

#endif
