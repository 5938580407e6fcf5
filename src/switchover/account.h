/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A redirector's ledger: where every frame is. It balances at any moment:
 *
 *   in_netdev = delivered + pending + outdev + queued + dropped (capturing)
 *   indev = out_netdev + held + duplicate + discarded + dropped (injecting)
 */
#ifndef TF_SWITCHOVER_ACCOUNT_H
#define TF_SWITCHOVER_ACCOUNT_H

#include "packet/drop.h"
#include "packet/packet.h"

typedef struct Account {
    Counter indev;      /* received */
    Counter outdev;     /* shipped */
    Counter in_netdev;  /* captured */
    Counter out_netdev; /* injected */
    Counter delivered;  /* the guest took it */
    Counter pending;    /* captured, the guest may still take it */
    Counter queued;     /* waits for outdev */
    Counter held;       /* waits for the VM, or for room in its TAP */
    Counter duplicate;  /* delivered by the network or an earlier source */
    Counter discarded;  /* held, and the VM never ran */
    Counter reinjected; /* part of outdev: shipped, and then injected here
                           because the VM resumed here */
    Counter dropped[DROP__MAX];
} Account;

#endif
