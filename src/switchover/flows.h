/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a guest noticed of a switchover: for each kind of frame (TCP, UDP, ICMP,
 * others) the longest gap in which it received none. A frame that reaches the
 * TAP of a stopped VM counts as received when the VM runs.
 *
 * Embedded in a SwitchoverRecord; nothing is allocated. Times are
 * CLOCK_REALTIME in microseconds; 0: has not happened. In its loop only.
 */
#ifndef TF_SWITCHOVER_FLOWS_H
#define TF_SWITCHOVER_FLOWS_H

#include "packet/queue.h"

#include <jansson.h>

/* How many of the last frames of a kind are kept, with number and time. */
#define FLOW_RECENT 16

typedef enum FlowKind {
    FLOW_TCP,
    FLOW_UDP,
    FLOW_ICMP,
    FLOW_OTHER,
    FLOW__MAX
} FlowKind;

typedef struct Flow {
    uint64_t packets;   /* that the guest saw, or found waiting */
    int64_t before_us;  /* the last that it saw before it was stopped */
    int64_t first_us;   /* the first that it saw here since it runs */
    int64_t seen_us;    /* the last */
    int64_t gap_us;     /* the longest time between two */
    int64_t gap_end_us; /* when that was over */
    bool waits;         /* some wait for the VM to run */
    /* Captured while it ran, as a ring. */
    unsigned recent;
    uint64_t recent_number[FLOW_RECENT];
    int64_t recent_us[FLOW_RECENT];
} Flow;

typedef struct Flows {
    Flow kinds[FLOW__MAX];
} Flows;

/* By Ethernet type and IP protocol, behind VLAN tags and IPv6 extensions. */
FlowKind flow_classify(const uint8_t *data, uint32_t len);

/* The frame @number was captured while the VM ran. */
void flows_captured(Flows *flows, const Packet *packet, uint64_t number);

/* The VM stopped, and did not get the frames from @first on: what was seen
 * before is known from now on. @queue: the last frames captured. */
void flows_stop(Flows *flows, const PacketQueue *queue, uint64_t first);

/* A frame came to the TAP; @running: the guest sees it now. */
void flows_arrived(Flows *flows, FlowKind kind, int64_t time_us, bool running);

/* The VM runs: it sees what has waited in its TAP. */
void flows_run(Flows *flows, int64_t time_us);

/* A list with an entry for each kind that there was; owned. */
json_t *flows_to_json(const Flows *flows);

#endif
