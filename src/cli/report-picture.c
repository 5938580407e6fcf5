/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The timeline as the coordinates of a drawing, for the page's SVG: a lane of
 * bars for each series, a row of bars for each side's phases, the time that
 * the VM stood still behind all of it. Bars grow with the root of the count,
 * so that one frame is seen beside a thousand.
 */
#include "cli/report.h"

#include "cli/member.h"
#include "cli/words.h"

#include <math.h>
#include <string.h>

#define WIDTH 960
#define LEFT 176
#define RIGHT 84
#define TOP 34
#define LANE 46
#define LANE_BARS 34
#define ROW 26
#define ROW_BAR 16
#define TICKS 9
/* A daemon's timeline has so many at most. */
#define STEPS_MAX 1024

/* Microseconds since the epoch to pixels. */
typedef struct Scale {
    json_int_t begin, end, zero;
} Scale;

static double scale_x(const Scale *scale, json_int_t us)
{
    us = CLAMP(us, scale->begin, scale->end);
    return LEFT + (double)(us - scale->begin) /
                      (double)(scale->end - scale->begin) *
                      (WIDTH - LEFT - RIGHT);
}

/* A coordinate, whatever the locale. */
static const char *coordinate(char *buffer, double value)
{
    return g_ascii_formatd(buffer, G_ASCII_DTOSTR_BUF_SIZE, "%.1f", value);
}

static void set_coordinate(json_t *object, const char *key, double value)
{
    char buffer[G_ASCII_DTOSTR_BUF_SIZE];

    json_object_set_new(object, key, json_string(coordinate(buffer, value)));
}

/* Extent */

static json_t *side_timeline(json_t *side)
{
    return json_object_get(json_object_get(side, "switchover"), "timeline");
}

/* When the last frame was shipped or injected, or the VM ran. */
static json_int_t side_last(json_t *side)
{
    return MAX(report_time(side, "resume-us"), report_time(side, "last-us"));
}

static json_int_t earliest(json_int_t a, json_int_t b)
{
    return a == 0 ? b : b == 0 ? a : MIN(a, b);
}

/* From a little before the stop until a while after the last frame. */
static bool scale_init(Scale *scale, json_t *report)
{
    json_t *source = report_side(report, "source");
    json_t *destination = report_side(report, "destination");
    json_int_t begin =
        earliest(report_integer(side_timeline(source), "start-us"),
                 report_integer(side_timeline(destination), "start-us"));
    json_int_t resume = earliest(report_time(source, "resume-us"),
                                 report_time(destination, "resume-us"));
    json_int_t last, length, most;

    if (begin == 0) {
        return false;
    }
    scale->zero = report_time(source, "stop-us");
    if (scale->zero == 0) {
        scale->zero = begin;
    }
    last =
        MAX(MAX(side_last(source), side_last(destination)), scale->zero + 1000);
    most = resume > scale->zero ? 4 * (resume - scale->zero) : 0;
    length = MIN(last - scale->zero, MAX(most, G_USEC_PER_SEC / 4));
    scale->begin = MAX(begin, scale->zero - MAX(length / 3, 20000));
    scale->begin = MIN(scale->begin, scale->zero - 1000);
    scale->end = scale->zero + length + MAX(length / 3, 20000);
    return true;
}

/* Lanes */

typedef struct Lane {
    const char *side, *series, *name, *class;
} Lane;

static const Lane lanes[] = {
    {"source", "captured", "reach the old TAP", "captured"},
    {"source", "shipped", "shipped", "shipped"},
    {"destination", "received", "arrive at the new host", "shipped"},
    {"destination", "waiting", "waiting for the VM", "waiting"},
    {"destination", "injected", "injected", "injected"},
    {"destination", "live", "delivered by the network", "captured"},
};

static void path_add_bar(GString *path, double x, double y, double w, double h)
{
    char text[4][G_ASCII_DTOSTR_BUF_SIZE];

    g_string_append_printf(path, "M%s %sv-%sh%sV%sz", coordinate(text[0], x),
                           coordinate(text[1], y), coordinate(text[2], h),
                           coordinate(text[3], w), text[1]);
}

/* The steps of @series within the picture, as a path on the line @y. */
static char *lane_path(const Scale *scale, json_t *timeline, json_t *series,
                       double y, json_int_t most)
{
    json_int_t start = report_integer(timeline, "start-us");
    json_int_t step = report_integer(timeline, "step-us");
    GString *path = g_string_new(NULL);
    json_t *value;
    size_t i;

    json_array_foreach (series, i, value) {
        json_int_t at = start + (json_int_t)MIN(i, STEPS_MAX) * step;
        json_int_t n = report_number(value);

        if (n > 0 && at + step > scale->begin && at < scale->end) {
            double x = scale_x(scale, at);

            path_add_bar(path, x, y, MAX(scale_x(scale, at + step) - x, 0.8),
                         MAX(LANE_BARS * sqrt((double)n / (double)most), 1.0));
        }
    }
    return g_string_free(path, FALSE);
}

static void series_measure(json_t *series, json_int_t *sum, json_int_t *most)
{
    json_t *value;
    size_t i;

    *sum = *most = 0;
    json_array_foreach (series, i, value) {
        if (i == STEPS_MAX) {
            break;
        }
        *sum += report_number(value);
        *most = MAX(*most, report_number(value));
    }
}

/* How much the highest bar stands for. */
static char *lane_note(const Lane *lane, json_int_t most, json_int_t step)
{
    g_autofree char *count = words_count(most);

    return !strcmp(lane->series, "waiting")
               ? g_strdup_printf("at most %s", count)
               : g_strdup_printf("up to %s in %d ms", count,
                                 (int)(step / 1000));
}

static json_t *draw_lane(const Scale *scale, const Lane *lane, json_t *timeline,
                         double top)
{
    json_t *series =
        json_object_get(json_object_get(timeline, "series"), lane->series);
    double y = top + LANE - 6;
    g_autofree char *path = NULL;
    g_autofree char *note = NULL;
    g_autofree char *total = NULL;
    json_int_t sum, most;
    json_t *drawn;

    series_measure(series, &sum, &most);
    if (most == 0) {
        return NULL;
    }
    path = lane_path(scale, timeline, series, y, most);
    note = lane_note(lane, most, report_integer(timeline, "step-us"));
    total = words_count(sum);
    drawn = json_pack("{s:s, s:s, s:s, s:s}", "name", lane->name, "class",
                      lane->class, "path", path, "note", note);
    if (strcmp(lane->series, "waiting") != 0) {
        json_object_set_new(drawn, "total", json_string(total));
    }
    set_coordinate(drawn, "y", y);
    set_coordinate(drawn, "name_y", y - LANE_BARS / 2.0 + 1);
    set_coordinate(drawn, "note_y", y - LANE_BARS / 2.0 + 15);
    return drawn;
}

static json_t *draw_lanes(const Scale *scale, json_t *report, double *y)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < G_N_ELEMENTS(lanes); i++) {
        json_t *timeline = side_timeline(report_side(report, lanes[i].side));
        json_t *lane = draw_lane(scale, &lanes[i], timeline, *y);

        if (lane) {
            json_array_append_new(list, lane);
            *y += LANE;
        }
    }
    return list;
}

/* Phases */

static json_t *draw_phase(const Scale *scale, const char *name,
                          json_int_t begin, json_int_t end, double y)
{
    double x = scale_x(scale, begin);
    double w = scale_x(scale, end) - x;
    json_t *bar = json_pack("{s:s}", "class", name);

    set_coordinate(bar, "x", x);
    set_coordinate(bar, "w", MAX(w, 1.0));
    set_coordinate(bar, "y", y);
    if (w > 8.0 * (double)strlen(name)) {
        json_object_set_new(bar, "text", json_string(name));
        set_coordinate(bar, "text_x", x + w / 2);
        set_coordinate(bar, "text_y", y + ROW_BAR - 4);
    }
    return bar;
}

static json_t *draw_side_phases(const Scale *scale, json_t *side, double y)
{
    json_t *phases =
        json_object_get(json_object_get(side, "switchover"), "phases");
    json_t *bars = json_array();
    json_t *phase;
    size_t i;

    json_array_foreach (phases, i, phase) {
        json_t *next = json_array_get(phases, i + 1);
        json_int_t begin = report_integer(phase, "start-us");
        json_int_t end = next ? report_integer(next, "start-us") : scale->end;

        if (end > scale->begin && begin < scale->end) {
            json_array_append_new(
                bars, draw_phase(scale, member_string(phase, "phase"), begin,
                                 end, y));
        }
    }
    return bars;
}

static json_t *draw_phases(const Scale *scale, json_t *report, double *y)
{
    static const char *const names[][2] = {
        {"source", "source's phases"}, {"destination", "destination's phases"}};
    json_t *rows = json_array();

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        json_t *side = report_side(report, names[i][0]);
        json_t *row;

        if (!side) {
            continue;
        }
        row = json_pack("{s:s, s:o}", "name", names[i][1], "bars",
                        draw_side_phases(scale, side, *y + 6));
        set_coordinate(row, "name_y", *y + 6 + ROW_BAR - 4);
        json_array_append_new(rows, row);
        *y += ROW;
    }
    return rows;
}

/* Axis and standstill */

/* A round number of milliseconds, so that there are few ticks. */
static json_int_t tick_step(const Scale *scale)
{
    json_int_t step = 1000;

    while ((scale->end - scale->begin) / step > TICKS) {
        json_int_t digit = step;

        while (digit >= 10) {
            digit /= 10;
        }
        step = digit == 2 ? step / 2 * 5 : step * 2;
    }
    return step;
}

static json_t *draw_ticks(const Scale *scale)
{
    json_t *list = json_array();
    json_int_t step = tick_step(scale);
    json_int_t first = (scale->begin - scale->zero) / step * step;

    for (json_int_t at = first; at <= scale->end - scale->zero; at += step) {
        json_t *tick;
        g_autofree char *label =
            g_strdup_printf("%" JSON_INTEGER_FORMAT, at / 1000);

        if (at + scale->zero < scale->begin) {
            continue;
        }
        tick = json_pack("{s:s}", "label", label);
        set_coordinate(tick, "x", scale_x(scale, scale->zero + at));
        json_array_append_new(list, tick);
    }
    return list;
}

static json_t *draw_standstill(const Scale *scale, json_t *report)
{
    json_int_t downtime = report_integer(report, "downtime-us");
    json_int_t stop = report_time(report_side(report, "source"), "stop-us");
    g_autofree char *length = words_duration(downtime);
    g_autofree char *label = g_strconcat("stands still ", length, NULL);
    double x = scale_x(scale, stop);
    double end = scale_x(scale, stop + downtime);
    json_t *band;

    if (downtime == 0) {
        return json_null();
    }
    band = json_pack("{s:s}", "label", label);
    set_coordinate(band, "x", x);
    set_coordinate(band, "end", end);
    set_coordinate(band, "w", MAX(end - x, 1.0));
    set_coordinate(band, "middle", (x + end) / 2);
    return band;
}

json_t *report_picture(json_t *report)
{
    Scale scale;
    double y = TOP;
    json_t *picture;

    if (!scale_init(&scale, report)) {
        return NULL;
    }
    picture = json_object();
    json_object_set_new(picture, "lanes", draw_lanes(&scale, report, &y));
    json_object_set_new(picture, "rows", draw_phases(&scale, report, &y));
    json_object_set_new(picture, "ticks", draw_ticks(&scale));
    json_object_set_new(picture, "band", draw_standstill(&scale, report));
    json_object_set_new(
        picture, "zero",
        json_string(report_time(report_side(report, "source"), "stop-us")
                        ? "ms from the moment that the VM stopped"
                        : "ms from the first frame received"));
    set_coordinate(picture, "bottom", y + 8);
    set_coordinate(picture, "tick_y", y + 24);
    set_coordinate(picture, "zero_y", y + 42);
    set_coordinate(picture, "height", y + 50);
    set_coordinate(picture, "body", y + 8 - TOP + 6);
    return picture;
}
