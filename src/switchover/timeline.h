/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The time series of a switchover: counts of frames in equal steps of time. Its
 * size is fixed. Until it is pinned (at the stop) it is a sliding window of the
 * last half second; from then on it keeps its beginning, and when it would
 * overflow, pairs of steps are merged into one of twice the width.
 *
 * Embedded in a SwitchoverRecord; counting allocates nothing. Times are
 * CLOCK_REALTIME in microseconds. In its loop only.
 */
#ifndef TF_SWITCHOVER_TIMELINE_H
#define TF_SWITCHOVER_TIMELINE_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#define TIMELINE_STEPS 1024
#define TIMELINE_STEP_US 1000
/* Widest step; what is later than TIMELINE_STEPS of these is not recorded. */
#define TIMELINE_STEP_MAX_US (TIMELINE_STEP_US << 10)

typedef enum TimelineSeries {
    TIMELINE_CAPTURED, /* reached the TAP of the source */
    TIMELINE_SHIPPED,
    TIMELINE_RECEIVED,
    TIMELINE_INJECTED,
    TIMELINE_LIVE,    /* delivered by the network itself */
    TIMELINE_WAITING, /* maximum that waited during the step */
    TIMELINE_LEFT, /* that waited at its end, and in later steps without one */
    TIMELINE__MAX
} TimelineSeries;

typedef struct Timeline {
    int64_t start_us; /* 0: empty */
    int64_t step_us;
    bool pinned;
    /* TIMELINE_WAITING and _LEFT are stored plus one; 0: not sampled. */
    uint32_t series[TIMELINE__MAX][TIMELINE_STEPS];
} Timeline;

void timeline_clear(Timeline *timeline);
void timeline_pin(Timeline *timeline, int64_t time_us);
void timeline_add(Timeline *timeline, TimelineSeries series, int64_t time_us,
                  uint32_t n);
/* @n wait at this time. */
void timeline_level(Timeline *timeline, int64_t time_us, uint32_t n);

/* {"start-us", "step-us", "series": {NAME: [n, …]}}, without series and steps
 * at the end in which nothing happened; NULL if it is empty. Owned. */
json_t *timeline_to_json(const Timeline *timeline);

#endif
