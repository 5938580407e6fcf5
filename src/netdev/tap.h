/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The netdev `tap`: an interface that the VMM owns, observed and injected into
 * through AF_PACKET; the tun device is never opened.
 *
 * The interface may go down, disappear, and reappear under its name: the
 * captures and injections made here are detached and attached again, and
 * listeners are called. In its loop only.
 */
#ifndef TF_NETDEV_TAP_H
#define TF_NETDEV_TAP_H

#include "netdev/capture.h"
#include "netdev/inject-socket.h"
#include "netdev/link.h"
#include "netdev/netdev.h"

typedef struct Tap Tap;

/* The netdev as a tap, or NULL if it is of another type. */
Tap *tap_from_netdev(Netdev *netdev);

Netdev *tap_netdev(Tap *tap);
const char *tap_ifname(const Tap *tap);
/* 0: there is no interface. */
int tap_ifindex(const Tap *tap);

/* The interface exists and is up. */
bool tap_is_up(const Tap *tap);

/* False while there is no interface. */
bool tap_read_counters(const Tap *tap, LinkCounters *counters);

/* Length of its queue, or of each queue, in packets (txqueuelen); never 0. */
uint32_t tap_queue_length(const Tap *tap);

/* Some process has the TAP open, so that its queue keeps its content. */
bool tap_has_reader(const Tap *tap);

/* See link.h: what the host sends during a change may be lost. */
bool tap_read_queue(const Tap *tap, LinkQueue *queue);
bool tap_set_queue(Tap *tap, const LinkQueue *queue, GError **errp);

/* It can have several queues; the kernel does not tell how many it has. */
bool tap_is_multi_queue(const Tap *tap);

/* Creates a capture that stays attached to the interface of this name, of all
 * queues or of some; freed by tap_remove_capture(). */
Capture *tap_add_capture(Tap *tap, unsigned directions,
                         const CaptureHandlers *handlers, void *opaque,
                         GError **errp);
Capture *tap_add_queue_capture(Tap *tap, unsigned directions,
                               CaptureQueues queues,
                               const CaptureHandlers *handlers, void *opaque,
                               GError **errp);
void tap_remove_capture(Tap *tap, Capture *capture);

/* Likewise for injection. */
InjectSocket *tap_add_inject(Tap *tap, GError **errp);
void tap_remove_inject(Tap *tap, InjectSocket *inject);

/* changed() is called after the interface went down or up, disappeared or
 * reappeared, or was closed or opened by its VMM. @renewed: it is another
 * interface, whose counters start anew. */
typedef struct TapListener {
    void (*changed)(void *opaque, bool renewed);
    void *opaque;
} TapListener;

void tap_listen(Tap *tap, TapListener *listener);
void tap_unlisten(Tap *tap, TapListener *listener);

#endif
