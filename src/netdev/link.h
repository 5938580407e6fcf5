/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Network interfaces through rtnetlink: state, counters, and notifications of
 * changes. One socket for requests per thread and one for notifications, opened
 * at first use, in the network namespace of that moment. Counters and queues:
 * any thread. Watches: control plane only.
 */
#ifndef TF_NETDEV_LINK_H
#define TF_NETDEV_LINK_H

#include "base/loop.h"

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

/* Two system calls, some 10 us. False if the interface is gone. */
bool link_read_counters(int ifindex, LinkCounters *counters);

/* An interface's transmit queue, and the interface's alias (ip link ... alias).
 */
typedef struct LinkQueue {
    uint32_t length; /* txqueuelen, packets */
    uint32_t closed; /* as in LinkState; read only */
    char alias[IFALIASZ];
} LinkQueue;

/* False if the interface is gone. */
bool link_read_queue(int ifindex, LinkQueue *queue);

/*
 * Sets length and alias. For a fraction of a millisecond the kernel drops what
 * is sent into an interface that is up: a change of txqueuelen replaces its
 * queue discipline (net/sched/sch_generic.c, dev_qdisc_change_tx_queue_len()).
 * The content of a TAP's queue is kept, as far as it fits.
 */
bool link_set_queue(int ifindex, const LinkQueue *queue, GError **errp);

typedef enum LinkKind { LINK_OTHER, LINK_TUN, LINK_VETH } LinkKind;

typedef struct LinkState {
    int ifindex;         /* 0: no interface of that name */
    bool up;             /* IFF_UP */
    bool carrier;        /* IFF_LOWER_UP: a TAP is open in some process */
    uint32_t closed;     /* how often the carrier was lost, modulo 2^32
                            (IFLA_CARRIER_DOWN_COUNT) */
    uint32_t txqueuelen; /* packets */
    uint32_t mtu;        /* bytes, without the Ethernet header */
    LinkKind kind;
    bool multi_queue; /* IFF_MULTI_QUEUE: a TAP that can have several queues */
} LinkState;

typedef struct LinkWatch {
    char ifname[IFNAMSIZ];
    LinkState state; /* the same for all watches of a name */
    Loop *loop;      /* current at link_watch_add(); entered for changed() */
    /* @state has changed from @before. May not add or remove a watch. */
    void (*changed)(void *opaque, const LinkState *before);
    void *opaque;
} LinkWatch;

/* Reads the state of @ifname and follows it until link_watch_remove(). */
bool link_watch_add(LinkWatch *watch, const char *ifname,
                    void (*changed)(void *opaque, const LinkState *before),
                    void *opaque, GError **errp);
void link_watch_remove(LinkWatch *watch);

#endif
