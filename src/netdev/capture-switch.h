/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Replaces the socket of a capture under traffic: plain by ring, or back. Each
 * frame goes to exactly one of the two, because both are in one fanout group
 * (packet(7), PACKET_FANOUT_CBPF) whose program of one instruction chooses.
 *
 * Calls that block (setting up a ring, replacing a program: an RCU grace period
 * each, some 10 ms) are made in a short-lived thread, which owns the new socket
 * until ready() is called.
 *
 * Functions and handlers: in the loop of the capture only.
 */
#ifndef TF_NETDEV_CAPTURE_SWITCH_H
#define TF_NETDEV_CAPTURE_SWITCH_H

#include "netdev/capture-socket.h"

typedef struct CaptureSwitch CaptureSwitch;

typedef struct CaptureSwitchHandlers {
    /* From now on frames may arrive at @to (now the owner's), and some still at
     * the old socket, which is to be read first. */
    void (*ready)(void *opaque, CaptureSocket to);
    /* The old socket gets no more frames; or, without ready(), the switch has
     * failed with errno @error. The switch may be freed. */
    void (*done)(void *opaque, int error);
} CaptureSwitchHandlers;

/* Starts the switch. @from stays the owner's, and is to stay open until done().
 */
CaptureSwitch *capture_switch_new(const CaptureSocket *from, int ifindex,
                                  bool ring, const CaptureFilter *filter,
                                  const CaptureSwitchHandlers *handlers,
                                  void *opaque);

/* Blocks until it is done, and calls the handlers. Harmless with NULL. */
void capture_switch_wait(CaptureSwitch *self);

/* Blocks until the thread has ended. Harmless with NULL. */
void capture_switch_free(CaptureSwitch *self);

#endif
