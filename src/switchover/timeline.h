/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The picture of a switchover: how many frames did what, in equal steps of
 * time. Its size is fixed. Until it is pinned (at the stop) it slides along
 * and keeps the last half second; from then on it holds on to its beginning,
 * and where it would overflow, two steps become one of twice the width.
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
/* What comes later than TIMELINE_STEPS of these is not in the picture. */
#define TIMELINE_STEP_MAX_US (TIMELINE_STEP_US << 10)

typedef enum TimelineSeries {
    TIMELINE_CAPTURED, /* reached the TAP of the source */
    TIMELINE_SHIPPED,
    TIMELINE_RECEIVED,
    TIMELINE_INJECTED,
    TIMELINE_LIVE,    /* the network delivered them by itself */
    TIMELINE_WAITING, /* the most that waited during the step */
    TIMELINE_LEFT,    /* of them when it ended: goes on until the next look */
    TIMELINE__MAX
} TimelineSeries;

typedef struct Timeline {
    int64_t start_us; /* 0: empty */
    int64_t step_us;
    bool pinned;
    /* Of TIMELINE_WAITING and _LEFT one more than it was; 0: nobody looked. */
    uint32_t series[TIMELINE__MAX][TIMELINE_STEPS];
} Timeline;

void timeline_clear(Timeline *timeline);
void timeline_pin(Timeline *timeline, int64_t time_us);
void timeline_add(Timeline *timeline, TimelineSeries series, int64_t time_us,
                  uint32_t n);
/* @n wait at this time: the most of a step counts. */
void timeline_level(Timeline *timeline, int64_t time_us, uint32_t n);

/* {"start-us", "step-us", "series": {NAME: [n, …]}}, without series and steps
 * at the end in which nothing happened; NULL if it is empty. Owned. */
json_t *timeline_to_json(const Timeline *timeline);

#endif
