/* SPDX-License-Identifier: BSD-2-Clause */
#include "switchover/timeline.h"

#include <glib.h>
#include <string.h>

#define HALF (TIMELINE_STEPS / 2)
/* Steps before the stop, at the most. */
#define BEFORE (TIMELINE_STEPS / 4)

static const char *const series_names[] = {
    [TIMELINE_CAPTURED] = "captured", [TIMELINE_SHIPPED] = "shipped",
    [TIMELINE_RECEIVED] = "received", [TIMELINE_INJECTED] = "injected",
    [TIMELINE_LIVE] = "live",         [TIMELINE_WAITING] = "waiting",
    [TIMELINE_LEFT] = NULL, /* a part of waiting */
};

void timeline_clear(Timeline *self)
{
    memset(self, 0, sizeof(*self));
}

/* The @n oldest steps go. */
static void timeline_slide(Timeline *self, unsigned n)
{
    unsigned rest = TIMELINE_STEPS - n;

    for (unsigned s = 0; s < TIMELINE__MAX; s++) {
        uint32_t *steps = self->series[s];

        memmove(steps, steps + n, rest * sizeof(*steps));
        memset(steps + rest, 0, n * sizeof(*steps));
    }
    self->start_us += n * self->step_us;
}

static uint32_t timeline_join(unsigned series, uint32_t first, uint32_t second)
{
    switch (series) {
    case TIMELINE_WAITING:
        return MAX(first, second);
    case TIMELINE_LEFT:
        return second ? second : first;
    default:
        return first + second;
    }
}

/* Two steps become one. */
static void timeline_fold(Timeline *self)
{
    for (unsigned s = 0; s < TIMELINE__MAX; s++) {
        uint32_t *steps = self->series[s];

        for (unsigned i = 0; i < HALF; i++) {
            steps[i] = timeline_join(s, steps[2 * i], steps[2 * i + 1]);
        }
        memset(steps + HALF, 0, HALF * sizeof(*steps));
    }
    self->step_us *= 2;
}

/* The step of @time_us; -1: before the first, or too late. */
static int64_t timeline_step(Timeline *self, int64_t time_us)
{
    int64_t span;

    if (self->start_us == 0) {
        self->start_us = time_us;
        self->step_us = TIMELINE_STEP_US;
    }
    if (time_us < self->start_us) {
        return -1;
    }
    span = TIMELINE_STEPS * self->step_us;
    if (!self->pinned && time_us - self->start_us >= 2 * span) {
        timeline_clear(self); /* long silence */
        self->start_us = time_us;
        self->step_us = TIMELINE_STEP_US;
    }
    while (time_us - self->start_us >= TIMELINE_STEPS * self->step_us) {
        if (!self->pinned) {
            timeline_slide(self, HALF);
        } else if (self->step_us < TIMELINE_STEP_MAX_US) {
            timeline_fold(self);
        } else {
            return -1;
        }
    }
    return (time_us - self->start_us) / self->step_us;
}

void timeline_pin(Timeline *self, int64_t time_us)
{
    int64_t step = timeline_step(self, time_us);

    if (step > BEFORE) {
        timeline_slide(self, (unsigned)step - BEFORE);
    }
    self->pinned = true;
}

void timeline_add(Timeline *self, TimelineSeries series, int64_t time_us,
                  uint32_t n)
{
    int64_t step = timeline_step(self, time_us);

    if (step >= 0) {
        self->series[series][step] += n;
    }
}

void timeline_level(Timeline *self, int64_t time_us, uint32_t n)
{
    int64_t step = timeline_step(self, time_us);

    if (step >= 0) {
        uint32_t *most = &self->series[TIMELINE_WAITING][step];

        *most = MAX(*most, n + 1);
        self->series[TIMELINE_LEFT][step] = n + 1;
    }
}

/* The number of steps up to the last in which something happened. */
static unsigned timeline_length(const Timeline *self, unsigned series)
{
    unsigned n = TIMELINE_STEPS;

    while (n > 0 && self->series[series][n - 1] == 0) {
        n--;
    }
    return n;
}

/* One series, up to the last step in which something happened. */
static json_t *timeline_series_to_json(const Timeline *self, unsigned series)
{
    const uint32_t *steps = self->series[series];
    const uint32_t *left = self->series[TIMELINE_LEFT];
    json_t *list = json_array();
    unsigned n = timeline_length(self, series);
    uint32_t level = 0;

    for (unsigned i = 0; i < n; i++) {
        uint32_t value = steps[i];

        if (series == TIMELINE_WAITING) {
            value = value ? value - 1 : level;
            level = left[i] ? left[i] - 1 : level;
        }
        json_array_append_new(list, json_integer(value));
    }
    return list;
}

json_t *timeline_to_json(const Timeline *self)
{
    json_t *all;

    if (self->start_us == 0) {
        return NULL;
    }
    all = json_object();
    for (unsigned s = 0; s < TIMELINE__MAX; s++) {
        if (series_names[s] && timeline_length(self, s) > 0) {
            json_object_set_new(all, series_names[s],
                                timeline_series_to_json(self, s));
        }
    }
    return json_pack("{s:I, s:I, s:o}", "start-us", (json_int_t)self->start_us,
                     "step-us", (json_int_t)self->step_us, "series", all);
}
