/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What happened at a switchover, for query-switchover, the event SWITCHOVER
 * and reports: phases and wall-clock times. Counts stay with their owners and
 * are added when the record is asked for. Main thread only.
 */
#ifndef TF_SWITCHOVER_RECORD_H
#define TF_SWITCHOVER_RECORD_H

#include "packet/packet.h"

#include <jansson.h>

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
} SwitchoverRecord;

/* Changes the phase and emits the event SWITCHOVER for redirector @name. */
void switchover_set_phase(SwitchoverRecord *record, const char *name,
                          SwitchoverPhase phase);

/* A frame was shipped or injected just now. */
void switchover_moved(SwitchoverRecord *record, int64_t queued_us);

/* The record as an entry of query-switchover; owned. */
json_t *switchover_to_json(const SwitchoverRecord *record, const char *name);

#endif
