/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The record of a switchover, for query-switchover, the event SWITCHOVER and
 * reports: phases, wall-clock times, how long frames waited, what the guest
 * noticed (flows.h), and a time series (timeline.h). The counters of frames
 * (account.h) are kept elsewhere and added when the record is queried.
 *
 * Of fixed size: recording allocates nothing. In its loop only.
 */
#ifndef TF_SWITCHOVER_RECORD_H
#define TF_SWITCHOVER_RECORD_H

#include "packet/queue.h"
#include "switchover/flows.h"
#include "switchover/timeline.h"

#include <jansson.h>

/* Histogram of waiting times: below 1 ms, 2 ms, 4 ms, …, and the rest. */
#define RECORD_WAITS 15
/* Phase changes that are kept. */
#define RECORD_PHASES 16

typedef enum SwitchoverPhase {
    SWITCHOVER_IDLE,      /* not armed; nothing is captured */
    SWITCHOVER_ARMED,     /* source: frames are kept while the VM runs */
    SWITCHOVER_SHIPPING,  /* source: the VM is stopped, frames go to outdev */
    SWITCHOVER_RETURNING, /* source: the VM has resumed here, and gets the
                             frames it lacks */
    SWITCHOVER_HOLDING,   /* destination: frames wait for the VM to run */
    SWITCHOVER_RELEASING, /* destination: it runs, held frames are injected */
    SWITCHOVER_PASSING,   /* destination: late frames are injected on arrival */
    SWITCHOVER_DISCARDED, /* destination: the VM never ran, held frames were
                             discarded */
} SwitchoverPhase;

/* Times are CLOCK_REALTIME in microseconds; 0: has not happened. */
typedef struct SwitchoverRecord {
    const char *side; /* "source" or "destination" */
    SwitchoverPhase phase;
    bool took_part; /* in a switchover: there is something to report */
    int64_t stop_us;
    int64_t resume_us;
    int64_t first_us; /* frame shipped or injected */
    int64_t last_us;
    int64_t longest_hold_us;
    Counter held_most;  /* maximum of the hold or send queue */
    const char *method; /* how the undelivered frames were found; or NULL */
    /* Of the present switchover. */
    int64_t arrived_first_us; /* undelivered frame captured, or received */
    int64_t arrived_last_us;
    Counter held;      /* frames that waited for the VM to run */
    Counter moved;     /* shipped or injected */
    int64_t waited_us; /* sum of their waiting times */
    uint64_t waits[RECORD_WAITS];
    uint64_t overtaking;  /* frames that the network delivered while older ones
                             waited */
    uint64_t turned_away; /* frames that found the running VM's TAP full */
    unsigned n_phases;
    struct {
        SwitchoverPhase phase;
        int64_t time_us;
    } phases[RECORD_PHASES];
    Flows flows;
    Timeline timeline;
} SwitchoverRecord;

/* Changes the phase and emits the event SWITCHOVER for redirector @name. */
void switchover_set_phase(SwitchoverRecord *record, const char *name,
                          SwitchoverPhase phase);

/* Source: frames were captured; @number is that of the first; @undelivered: the
 * VM is stopped. */
void record_captured(SwitchoverRecord *record, const PacketBatch *batch,
                     uint64_t number, bool undelivered);

/* Source: the VM stopped, and did not receive the frames of @queue from number
 * @first on. A new switchover begins. */
void record_stop(SwitchoverRecord *record, int64_t time_us,
                 const PacketQueue *queue, uint64_t first);

/* The VM runs here now. */
void record_resume(SwitchoverRecord *record, int64_t time_us);

/* Destination: @n frames were received, and @waiting wait now. */
void record_received(SwitchoverRecord *record, unsigned n, Counter waiting);

/* Frames that wait to be shipped or injected now. */
void record_waiting(SwitchoverRecord *record, Counter waiting);

/* A frame was shipped or injected just now. */
void record_shipped(SwitchoverRecord *record, const PacketRecord *frame);
void record_injected(SwitchoverRecord *record, const PacketRecord *frame);

/* Destination: frames were injected on arrival. */
void record_passed(SwitchoverRecord *record, const Packet *packets, unsigned n);

/* Destination: the network itself has delivered frames to the TAP. @running:
 * the VM runs; @waiting: how many older frames wait to be injected. */
void record_live(SwitchoverRecord *record, const PacketBatch *batch,
                 bool running, uint64_t waiting);

/* The record as an entry of query-switchover; owned. */
json_t *switchover_to_json(const SwitchoverRecord *record, const char *name);

#endif
