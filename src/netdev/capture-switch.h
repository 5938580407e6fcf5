/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Changes the socket of a capture under traffic: plain to ring, or back. Each
 * frame goes to exactly one of the two, because both are in one fanout group
 * (packet(7)), where a program of one instruction chooses.
 *
 * What waits for the kernel (a ring is made, a program replaced: a grace
 * period each, some 10 ms) is done in a thread that exists for just as long.
 * The new socket belongs to it until ready() is called.
 *
 * Its owner's thread, but for the thread inside.
 */
#ifndef TF_NETDEV_CAPTURE_SWITCH_H
#define TF_NETDEV_CAPTURE_SWITCH_H

#include "netdev/capture-socket.h"

typedef struct CaptureSwitch CaptureSwitch;

typedef struct CaptureSwitchHandlers {
    /* Frames may come to @to, taken over, from now on, and in part still to
     * the old one, which is to be read first. */
    void (*ready)(void *opaque, CaptureSocket to);
    /* The old one gets no more; or, without ready(), it could not be done for
     * the reason @error. The switch may be freed. */
    void (*done)(void *opaque, int error);
} CaptureSwitchHandlers;

/* @from stays its owner's, open until done(). */
CaptureSwitch *capture_switch_new(const CaptureSocket *from, int ifindex,
                                  bool ring, const CaptureFilter *filter,
                                  const CaptureSwitchHandlers *handlers,
                                  void *opaque);

/* Waits until it is done, and calls the handlers. Harmless with NULL. */
void capture_switch_wait(CaptureSwitch *self);

/* Waits for the thread, if it is not done. Harmless with NULL. */
void capture_switch_free(CaptureSwitch *self);

#endif
