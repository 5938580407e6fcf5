/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Netdevs: where frames come from and go to, each with its chain of filters.
 *
 * Two netdevs may be connected back to back (property peer): a frame that
 * leaves the chain of one toward its NIC enters the chain of the other as if
 * from its NIC. A netdev that leads to a guest of its own (tap) keeps that: its
 * frames go to the guest and the peer gets copies. The peer named need not
 * exist yet, and may be deleted and created again: whichever is created later
 * is connected to the one that waits. Everything that handles a netdev's
 * packets runs in its loop.
 */
#ifndef TF_NETDEV_NETDEV_H
#define TF_NETDEV_NETDEV_H

#include "base/loop.h"
#include "object/iothread.h"
#include "object/object.h"
#include "packet/packet.h"
#include "vm/vm.h"

#include <linux/filter.h>

typedef struct Netdev Netdev;
typedef struct NetdevClass NetdevClass;
typedef struct Filter Filter;

struct NetdevClass {
    ObjectClass object;
    bool has_guest; /* its NIC end is a guest (tap) */
    bool (*open)(Netdev *netdev, GError **errp);
    void (*close)(Netdev *netdev);
    /* A frame came out of the chain's end: toward the network (rx), or, if
     * has_guest, toward the guest (tx). */
    void (*deliver)(Netdev *netdev, Direction direction, const Packet *packet);
    /* All frames of a batch were delivered. */
    void (*flush)(Netdev *netdev);
    /* @observed: a filter or the peer wants copies of the frames that the
     * kernel delivers by itself; at least of those that @match takes
     * (capture_set_match(); NULL: all). */
    void (*set_observed)(Netdev *netdev, bool observed,
                         const struct sock_fprog *match);
    /* The part of `info network` behind "id: index=0,"; owned. */
    char *(*info)(const Netdev *netdev);
};

/* The entry of the filter chain, which is a higher layer. */
typedef void NetdevChainFunc(Netdev *netdev, Direction direction,
                             const PacketBatch *batch);

struct Netdev {
    Object object;
    char *vm_id;   /* property vm */
    char *peer_id; /* property peer */
    char *iothread_id;
    IoThread *iothread; /* NULL: none */
    Loop *loop;   /* of all that handles its packets; current in open(), close()
                     and in its filters' hooks */
    Netdev *peer; /* connected to; NULL: none (now) */
    bool filtered; /* a filter wants to observe (set_observed()) */
    const struct sock_fprog *match; /* of those frames; NULL: all */
    NetdevChainFunc *chain;         /* set with the first filter */
    GPtrArray *filters; /* the chain, head first; borrowed Filter * */
    Vm *vm;             /* never NULL: the daemon's own unless named */
    Counter dropped;    /* left the chain at an end that is not connected */
    Counter unsent;     /* refused by the network end */
    Counter malformed;  /* received with an invalid length */
};

extern const ObjectClass netdev_class; /* the abstract base */

/* Frames enter @netdev's chain: from its network (tx) or from its NIC (rx). */
void netdev_receive(Netdev *netdev, Direction direction,
                    const PacketBatch *batch);

/* For the chain: filters were added, removed or switched. @filtered as in
 * Netdev. @match: the frames wanted, if a single filter observes; valid until
 * the next call. NULL: all. */
void netdev_set_filtered(Netdev *netdev, bool filtered,
                         const struct sock_fprog *match);

/* For the chain: frames left it. */
void netdev_deliver(Netdev *netdev, Direction direction,
                    const PacketBatch *batch);

/* False and an error if the two are on different loops, so that they can't
 * exchange packets. */
bool netdev_check_loop(const Netdev *netdev, const Netdev *other,
                       GError **errp);

/* The netdev @id, or NULL. */
Netdev *netdev_find(const char *id);

static inline const NetdevClass *netdev_get_class(const Netdev *netdev)
{
    return (const NetdevClass *)netdev->object.class;
}

#endif
