/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Netdevs: where frames come from and go to, each with its chain of filters.
 *
 * Two netdevs may be wired back to back (property peer): what comes out of
 * the one's chain toward its NIC enters the other's as if from its NIC. A
 * netdev that leads to a guest of its own (tap) keeps that: its frames go to
 * the guest as ever and the peer gets copies. The peer named need not be
 * there yet, and may go and come back: whichever comes later is wired to the
 * one that waits. All that handles packets of a netdev runs in its loop.
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
    bool has_guest; /* it leads to a guest's NIC by itself */
    bool (*open)(Netdev *netdev, GError **errp);
    void (*close)(Netdev *netdev);
    /* A frame came out of the chain's end: toward the network (rx), or, if
     * has_guest, toward the guest (tx). */
    void (*deliver)(Netdev *netdev, Direction direction, const Packet *packet);
    /* All frames of a batch were delivered. */
    void (*flush)(Netdev *netdev);
    /* @observed: a filter or a peer wants to see what passes by itself. Of
     * that, at least what @match takes (capture_set_match(); NULL: all). */
    void (*set_observed)(Netdev *netdev, bool observed,
                         const struct sock_fprog *match);
    /* The part of `info network` behind "id: index=0,"; owned. */
    char *(*info)(const Netdev *netdev);
};

/* The way into the chain, which stands a layer higher. */
typedef void NetdevChainFunc(Netdev *netdev, Direction direction,
                             const PacketBatch *batch);

struct Netdev {
    Object object;
    char *vm_id;   /* property vm */
    char *peer_id; /* property peer */
    char *iothread_id;
    IoThread *iothread; /* NULL: none */
    Loop *loop;   /* of all that handles its packets; current in open(), close()
                     and in what its filters are called for */
    Netdev *peer; /* wired to; NULL: to none (now) */
    bool filtered; /* a filter wants to see what passes by itself */
    const struct sock_fprog *match; /* no more than that; NULL: all */
    NetdevChainFunc *chain;         /* set with the first filter */
    GPtrArray *filters; /* the chain, head first; borrowed Filter * */
    Vm *vm;             /* never NULL: the daemon's own unless named */
    Counter dropped;    /* came out of an end that leads nowhere */
    Counter unsent;     /* the network end could not take it */
    Counter malformed;  /* came from the network and can't be a frame */
};

extern const ObjectClass netdev_class; /* the abstract base */

/* Frames enter @netdev's chain: from its network (tx) or from its NIC (rx). */
void netdev_receive(Netdev *netdev, Direction direction,
                    const PacketBatch *batch);

/* For the chain: its filters came, went, or were switched. @match, if just one
 * of them looks and wants no more than that, stays valid until the next call;
 * else NULL. */
void netdev_set_filtered(Netdev *netdev, bool filtered,
                         const struct sock_fprog *match);

/* For the chain: frames came out of its end. */
void netdev_deliver(Netdev *netdev, Direction direction,
                    const PacketBatch *batch);

/* An error if the two are on different loops: their packets can't meet. */
bool netdev_check_loop(const Netdev *netdev, const Netdev *other,
                       GError **errp);

/* The netdev @id, or NULL. */
Netdev *netdev_find(const char *id);

static inline const NetdevClass *netdev_get_class(const Netdev *netdev)
{
    return (const NetdevClass *)netdev->object.class;
}

#endif
