/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What happened at a switchover, for query-switchover, the event SWITCHOVER
 * and reports: phases, wall-clock times, how long frames waited, what the
 * guest noticed, and the picture of it. Where every frame is stays with its
 * owner (Account) and is added when the record is asked for.
 *
 * Of fixed size: noting something allocates nothing. In its loop only.
 */
#ifndef TF_SWITCHOVER_RECORD_H
#define TF_SWITCHOVER_RECORD_H

#include "packet/queue.h"
#include "switchover/flows.h"
#include "switchover/timeline.h"

#include <jansson.h>

/* Waits below 1 ms, 2 ms, 4 ms, … and the rest. */
#define RECORD_WAITS 15
#define RECORD_PHASES 16

typedef enum SwitchoverPhase {
    SWITCHOVER_IDLE,      /* not armed; nothing is captured */
    SWITCHOVER_ARMED,     /* frames are remembered while the VM runs */
    SWITCHOVER_SHIPPING,  /* the VM stands still: frames go to outdev */
    SWITCHOVER_RETURNING, /* it runs here again: they are given back */
    SWITCHOVER_HOLDING,   /* frames wait for the VM to run */
    SWITCHOVER_RELEASING, /* it runs: what was held is injected */
    SWITCHOVER_PASSING,   /* what comes late is injected as it comes */
    SWITCHOVER_DISCARDED, /* the VM never ran: what was held is gone */
} SwitchoverPhase;

/* Times are CLOCK_REALTIME in microseconds; 0: has not happened. */
typedef struct SwitchoverRecord {
    const char *side; /* "source" or "destination" */
    SwitchoverPhase phase;
    bool took_part; /* in a switchover, so that there is something to tell */
    int64_t stop_us;
    int64_t resume_us;
    int64_t first_us; /* frame shipped or injected */
    int64_t last_us;
    int64_t longest_hold_us;
    Counter held_most;  /* the fullest that the hold or send queue was */
    const char *method; /* how the undelivered frames were told; or NULL */
    /* Of the present switchover. */
    int64_t arrived_first_us; /* undelivered frame captured, or received */
    int64_t arrived_last_us;
    Counter held;      /* frames that waited for the VM to run */
    Counter moved;     /* shipped or injected */
    int64_t waited_us; /* all of them together */
    uint64_t waits[RECORD_WAITS];
    uint64_t overtaking;  /* live frames that came while older ones waited */
    uint64_t turned_away; /* live frames that found the running VM's TAP full */
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

/* Source: frames were captured, the first of them has this number;
 * @undelivered: the VM stands still. */
void record_captured(SwitchoverRecord *record, const PacketBatch *batch,
                     uint64_t number, bool undelivered);

/* Source: the VM stopped, and never got the frames of @queue from @first on.
 * A new switchover begins. */
void record_stop(SwitchoverRecord *record, int64_t time_us,
                 const PacketQueue *queue, uint64_t first);

/* The VM runs here now. */
void record_resume(SwitchoverRecord *record, int64_t time_us);

/* Destination: frames were received, and so many wait now. */
void record_received(SwitchoverRecord *record, unsigned n, Counter waiting);

/* Source: so many wait to be shipped. */
void record_waiting(SwitchoverRecord *record, Counter waiting);

/* A frame was shipped or injected just now. */
void record_shipped(SwitchoverRecord *record, const PacketRecord *frame);
void record_injected(SwitchoverRecord *record, const PacketRecord *frame);

/* Destination: frames were injected as they came. */
void record_passed(SwitchoverRecord *record, const Packet *packets, unsigned n);

/* Destination: the network itself delivers frames to the TAP; @running: the
 * VM runs; @waiting: so many older ones wait to be injected. */
void record_live(SwitchoverRecord *record, const PacketBatch *batch,
                 bool running, uint64_t waiting);

/* The record as an entry of query-switchover; owned. */
json_t *switchover_to_json(const SwitchoverRecord *record, const char *name);

#endif
