/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An AF_XDP socket (XSK) that only sends: plain frames into one interface, in
 * copy mode, past its queue discipline, as PACKET_QDISC_BYPASS does, for some
 * 0.6 of the price: one system call takes a batch of frames, and no message
 * header is read for each of them (docs/design/0006-fast-path.md).
 *
 * It goes by completions (linux/if_xdp.h), so it is for TAPs and veths only:
 * they take a frame from its sender when they queue it (drivers/net/tun.c,
 * net/core/dev.c: skb_orphan()), and so each is completed before the call
 * returns. Should a frame once not be, the socket is given up.
 *
 * In its loop only.
 */
#ifndef TF_NETDEV_XSK_H
#define TF_NETDEV_XSK_H

#include "packet/packet.h"

typedef struct Xsk Xsk;

/* What it takes: no offloads, and ETH_HLEN to so many bytes. */
#define XSK_FRAME_MAX 2048u

/* On the interface's first queue. Takes 64 KiB of locked memory. NULL, and
 * errno, if it can't be had: the kernel lacks it, or somebody else has one
 * there (EBUSY). */
Xsk *xsk_open(int ifindex, uint32_t mark);
/* What it sent has gone; the descriptor's close is the closer's. */
void xsk_close(Xsk *xsk);

/*
 * Sends up to @n packets, in order, and returns how many went in. @error is 0,
 * or why the next one did not: EBUSY, the interface's queue was full, and it
 * has counted that; EAGAIN, nobody has. After anything else the socket is of
 * no more use, whatever was sent.
 */
unsigned xsk_send(Xsk *xsk, const Packet *packets, unsigned n, int *error);

#endif
