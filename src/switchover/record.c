/* SPDX-License-Identifier: BSD-2-Clause */
#include "switchover/record.h"

#include "base/event.h"
#include "base/log.h"

#include <string.h>

static const char *const phase_names[] = {
    [SWITCHOVER_IDLE] = "idle",         [SWITCHOVER_ARMED] = "armed",
    [SWITCHOVER_SHIPPING] = "shipping", [SWITCHOVER_RETURNING] = "returning",
    [SWITCHOVER_HOLDING] = "holding",   [SWITCHOVER_RELEASING] = "releasing",
    [SWITCHOVER_PASSING] = "passing",   [SWITCHOVER_DISCARDED] = "discarded",
};

static void record_add_phase(SwitchoverRecord *self, SwitchoverPhase phase,
                             int64_t time_us)
{
    if (self->n_phases == RECORD_PHASES) {
        memmove(self->phases, self->phases + 1,
                sizeof(self->phases) - sizeof(self->phases[0]));
        self->n_phases--;
    }
    self->phases[self->n_phases].phase = phase;
    self->phases[self->n_phases].time_us = time_us;
    self->n_phases++;
}

/* Forgets an earlier switchover, but for what led to this one. */
static void record_begin(SwitchoverRecord *self)
{
    self->arrived_first_us = self->arrived_last_us = 0;
    self->held = self->moved = (Counter){0};
    self->waited_us = 0;
    self->overtaking = self->turned_away = 0;
    memset(self->waits, 0, sizeof(self->waits));
    if (self->n_phases > 0) {
        self->phases[0] = self->phases[self->n_phases - 1];
        self->n_phases = 1;
    }
    for (unsigned k = 0; k < FLOW__MAX; k++) {
        Flow *flow = &self->flows.kinds[k];

        flow->packets = 0;
        flow->before_us = flow->first_us = flow->seen_us = 0;
        flow->gap_us = flow->gap_end_us = 0;
        flow->waits = false;
    }
    if (self->timeline.pinned) {
        timeline_clear(&self->timeline);
    }
}

/* Frames come to a destination that had a switchover before. */
static bool record_begins_anew(const SwitchoverRecord *self,
                               SwitchoverPhase phase)
{
    return phase == SWITCHOVER_HOLDING && (self->phase == SWITCHOVER_PASSING ||
                                           self->phase == SWITCHOVER_DISCARDED);
}

void switchover_set_phase(SwitchoverRecord *record, const char *name,
                          SwitchoverPhase phase)
{
    if (record->phase == phase) {
        return;
    }
    if (record_begins_anew(record, phase)) {
        record_begin(record);
        record->resume_us = 0;
    }
    record->phase = phase;
    record_add_phase(record, phase, g_get_real_time());
    if (phase >= SWITCHOVER_SHIPPING) {
        record->took_part = true;
    }
    log_info("switchover", "%s: %s", name, phase_names[phase]);
    event_emit("SWITCHOVER",
               json_pack("{s:s, s:s, s:s}", "name", name, "side", record->side,
                         "phase", phase_names[phase]));
}

/* Times */

static void record_arrived(SwitchoverRecord *self, int64_t time_us)
{
    if (self->arrived_first_us == 0) {
        self->arrived_first_us = time_us;
    }
    self->arrived_last_us = MAX(self->arrived_last_us, time_us);
}

static void record_captured_one(SwitchoverRecord *self, const Packet *packet,
                                uint64_t number, bool undelivered)
{
    int64_t time_us = packet->time_ns / 1000;

    timeline_add(&self->timeline, TIMELINE_CAPTURED, time_us, 1);
    if (undelivered) {
        record_arrived(self, time_us);
        flows_arrived(&self->flows, flow_classify(packet->data, packet->len),
                      time_us, false);
        return;
    }
    flows_captured(&self->flows, packet, number);
    if (self->resume_us > 0 && self->took_part) {
        flows_arrived(&self->flows, flow_classify(packet->data, packet->len),
                      MAX(time_us, self->resume_us), true);
    }
}

void record_captured(SwitchoverRecord *self, const PacketBatch *batch,
                     uint64_t number, bool undelivered)
{
    for (unsigned i = 0; i < batch->n; i++) {
        record_captured_one(self, &batch->packets[i], number + i, undelivered);
    }
}

void record_stop(SwitchoverRecord *self, int64_t time_us,
                 const PacketQueue *queue, uint64_t first)
{
    PacketCursor cursor = packet_queue_head(queue);
    const PacketRecord *frame;

    record_begin(self);
    self->stop_us = time_us;
    self->resume_us = 0;
    self->first_us = self->last_us = 0;
    timeline_pin(&self->timeline, time_us);
    flows_stop(&self->flows, queue, first);
    while ((frame = packet_queue_at(queue, &cursor))) {
        if (cursor.number >= first && frame->len > 0) {
            record_arrived(self, frame->time_ns / 1000);
        }
        packet_cursor_advance(&cursor);
    }
}

void record_resume(SwitchoverRecord *self, int64_t time_us)
{
    self->resume_us = time_us;
    flows_run(&self->flows, time_us);
}

void record_waiting(SwitchoverRecord *self, Counter waiting)
{
    timeline_level(&self->timeline, g_get_real_time(),
                   (uint32_t)waiting.packets);
    if (waiting.packets > self->held_most.packets) {
        self->held_most = waiting;
    }
}

void record_received(SwitchoverRecord *self, unsigned n, Counter waiting)
{
    int64_t now = g_get_real_time();

    record_arrived(self, now);
    self->timeline.pinned = true;
    timeline_add(&self->timeline, TIMELINE_RECEIVED, now, n);
    record_waiting(self, waiting);
}

/* Which of the waits, each twice as long as the one before. */
static unsigned record_wait_index(int64_t us)
{
    unsigned i = 0;

    for (int64_t limit = 1000; us >= limit && i < RECORD_WAITS - 1;
         limit *= 2) {
        i++;
    }
    return i;
}

/* Frames that waited for @waited_us each. */
static void record_moved(SwitchoverRecord *self, Counter frames,
                         int64_t waited_us, TimelineSeries series, int64_t now)
{
    if (self->first_us == 0) {
        self->first_us = now;
    }
    self->last_us = now;
    self->longest_hold_us = MAX(self->longest_hold_us, waited_us);
    self->waited_us += waited_us * (int64_t)frames.packets;
    self->waits[record_wait_index(waited_us)] += frames.packets;
    counter_add(&self->moved, frames.packets, frames.bytes);
    timeline_add(&self->timeline, series, now, (uint32_t)frames.packets);
}

static void record_moved_one(SwitchoverRecord *self, const PacketRecord *frame,
                             TimelineSeries series, int64_t now)
{
    record_moved(self, (Counter){1, frame->len},
                 now - MIN(frame->queued_us, now), series, now);
}

void record_shipped(SwitchoverRecord *self, const PacketRecord *frame)
{
    record_moved_one(self, frame, TIMELINE_SHIPPED, g_get_real_time());
}

void record_injected(SwitchoverRecord *self, const PacketRecord *frame)
{
    int64_t now = g_get_real_time();

    record_moved_one(self, frame, TIMELINE_INJECTED, now);
    if (frame->queued_us < self->resume_us) {
        counter_add(&self->held, 1, frame->len);
    }
    flows_arrived(&self->flows, flow_classify(frame->data, frame->len), now,
                  true);
}

void record_passed(SwitchoverRecord *self, const Packet *packets, unsigned n)
{
    int64_t now = g_get_real_time();
    Counter frames = {0};

    for (unsigned i = 0; i < n; i++) {
        counter_add(&frames, 1, packets[i].len);
        flows_arrived(&self->flows,
                      flow_classify(packets[i].data, packets[i].len), now,
                      true);
    }
    if (n > 0) {
        record_moved(self, frames, 0, TIMELINE_INJECTED, now);
    }
}

void record_live(SwitchoverRecord *self, const PacketBatch *batch, bool running,
                 uint64_t waiting)
{
    for (unsigned i = 0; i < batch->n; i++) {
        const Packet *packet = &batch->packets[i];
        int64_t time_us = packet->time_ns / 1000;

        timeline_add(&self->timeline, TIMELINE_LIVE, time_us, 1);
        flows_arrived(&self->flows, flow_classify(packet->data, packet->len),
                      MAX(time_us, self->resume_us), running);
    }
    if (waiting > 0) {
        self->overtaking += batch->n;
    }
}

/* As JSON */

static void add_time(json_t *entry, const char *key, int64_t us)
{
    if (us > 0) {
        json_object_set_new(entry, key, json_integer(us));
    }
}

static json_t *record_waits_to_json(const SwitchoverRecord *self)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < RECORD_WAITS; i++) {
        json_t *entry =
            json_pack("{s:I}", "packets", (json_int_t)self->waits[i]);

        if (i < RECORD_WAITS - 1) {
            json_object_set_new(entry, "below-us", json_integer(1000LL << i));
        }
        if (self->waits[i] > 0) {
            json_array_append(list, entry);
        }
        json_decref(entry);
    }
    return list;
}

static json_t *record_phases_to_json(const SwitchoverRecord *self)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < self->n_phases; i++) {
        json_array_append_new(
            list,
            json_pack("{s:s, s:I}", "phase", phase_names[self->phases[i].phase],
                      "start-us", (json_int_t)self->phases[i].time_us));
    }
    return list;
}

static void record_add_details(const SwitchoverRecord *self, json_t *entry)
{
    json_t *timeline = timeline_to_json(&self->timeline);

    add_time(entry, "arrived-first-us", self->arrived_first_us);
    add_time(entry, "arrived-last-us", self->arrived_last_us);
    json_object_set_new(
        entry, "waits",
        json_pack("{s:I, s:I, s:I, s:o}", "packets",
                  (json_int_t)self->moved.packets, "bytes",
                  (json_int_t)self->moved.bytes, "mean-us",
                  (json_int_t)(self->moved.packets ? (uint64_t)self->waited_us /
                                                         self->moved.packets
                                                   : 0),
                  "histogram", record_waits_to_json(self)));
    json_object_set_new(entry, "held-packets",
                        json_integer((json_int_t)self->held.packets));
    json_object_set_new(entry, "held-bytes",
                        json_integer((json_int_t)self->held.bytes));
    json_object_set_new(entry, "overtaking-packets",
                        json_integer((json_int_t)self->overtaking));
    json_object_set_new(entry, "turned-away-packets",
                        json_integer((json_int_t)self->turned_away));
    json_object_set_new(entry, "phases", record_phases_to_json(self));
    json_object_set_new(entry, "flows", flows_to_json(&self->flows));
    if (timeline) {
        json_object_set_new(entry, "timeline", timeline);
    }
}

json_t *switchover_to_json(const SwitchoverRecord *record, const char *name)
{
    json_t *entry =
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:I}", "name", name, "side",
                  record->side, "phase", phase_names[record->phase],
                  "held-packets-most", (json_int_t)record->held_most.packets,
                  "held-bytes-most", (json_int_t)record->held_most.bytes,
                  "longest-hold-us", (json_int_t)record->longest_hold_us);

    add_time(entry, "stop-us", record->stop_us);
    add_time(entry, "resume-us", record->resume_us);
    add_time(entry, "first-us", record->first_us);
    add_time(entry, "last-us", record->last_us);
    if (record->method) {
        json_object_set_new(entry, "method", json_string(record->method));
    }
    record_add_details(record, entry);
    return entry;
}
