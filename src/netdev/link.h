/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Network interfaces through rtnetlink: what an interface is, what it has
 * counted, and when something happens to it. One socket for questions in
 * each thread, one for notifications, made at first use, in the network
 * namespace of that moment. Counters and queues in any thread; watches are
 * the control plane's.
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

/* Costs one system call pair, some 10 us. False if it is gone. */
bool link_read_counters(int ifindex, LinkCounters *counters);

/* An interface's queue toward its other end, and the note that goes with the
 * interface (ip link ... alias). */
typedef struct LinkQueue {
    uint32_t length; /* txqueuelen, packets */
    uint32_t closed; /* as that of LinkState, and not set */
    char alias[IFALIASZ];
} LinkQueue;

/* False if it is gone. */
bool link_read_queue(int ifindex, LinkQueue *queue);

/*
 * Sets both. It takes a fraction of a millisecond, in which the kernel drops
 * what is sent into an interface that is up: a change of txqueuelen takes its
 * queue discipline away for a moment (net/sched/sch_generic.c,
 * dev_qdisc_change_tx_queue_len()). What a TAP's queue holds stays, as far as
 * it fits.
 */
bool link_set_queue(int ifindex, const LinkQueue *queue, GError **errp);

typedef enum LinkKind { LINK_OTHER, LINK_TUN, LINK_VETH } LinkKind;

typedef struct LinkState {
    int ifindex;         /* 0: there is none of that name */
    bool up;             /* IFF_UP: it takes frames */
    bool carrier;        /* IFF_LOWER_UP: somebody has the other end open */
    uint32_t closed;     /* how often nobody had any more, modulo 2^32: who is
                            there may be another one */
    uint32_t txqueuelen; /* packets */
    uint32_t mtu;        /* bytes behind the Ethernet header */
    LinkKind kind;
    bool multi_queue; /* a TAP that can have several queues */
} LinkState;

typedef struct LinkWatch {
    char ifname[IFNAMSIZ];
    LinkState state; /* all watches of a name have the same */
    Loop *loop;      /* that of its making, entered for changed() */
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
