/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A transmit-only AF_XDP socket (XSK): plain frames into one interface, in copy
 * mode, bypassing its queue discipline as PACKET_QDISC_BYPASS does, for some
 * 0.6 of the cost: one system call sends a batch of frames, without a message
 * header for each (docs/design/0006-fast-path.md).
 *
 * It counts completions (linux/if_xdp.h), so it is for TAPs and veths only:
 * they orphan a frame when they queue it (drivers/net/tun.c, net/core/dev.c:
 * skb_orphan()), so that all are completed before the call returns. If a frame
 * is not, the socket is given up.
 *
 * In its loop only.
 */
#ifndef TF_NETDEV_XSK_H
#define TF_NETDEV_XSK_H

#include "packet/packet.h"

typedef struct Xsk Xsk;

/* Longest frame that it takes; the shortest is ETH_HLEN. No offloads. */
#define XSK_FRAME_MAX 2048u

/* Opens one on the interface's first queue; @mark is SO_MARK of its frames.
 * Takes 64 KiB of locked memory. NULL and errno if that fails: the kernel lacks
 * it, or another process has one there (EBUSY). */
Xsk *xsk_open(int ifindex, uint32_t mark);
/* Closes it, in the background (base/closer.h). */
void xsk_close(Xsk *xsk);

/*
 * Sends up to @n packets, in order, and returns how many went in. *@error is 0,
 * or why the next one did not: EBUSY, the interface's queue was full, which it
 * has counted as dropped; EAGAIN, try again. After any other error the socket
 * is unusable.
 */
unsigned xsk_send(Xsk *xsk, const Packet *packets, unsigned n, int *error);

#endif
