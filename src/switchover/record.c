/* SPDX-License-Identifier: BSD-2-Clause */
#include "switchover/record.h"

#include "base/event.h"
#include "base/log.h"

static const char *const phase_names[] = {
    [SWITCHOVER_IDLE] = "idle",         [SWITCHOVER_ARMED] = "armed",
    [SWITCHOVER_SHIPPING] = "shipping", [SWITCHOVER_RETURNING] = "returning",
    [SWITCHOVER_HOLDING] = "holding",   [SWITCHOVER_RELEASING] = "releasing",
    [SWITCHOVER_PASSING] = "passing",   [SWITCHOVER_DISCARDED] = "discarded",
};

void switchover_set_phase(SwitchoverRecord *record, const char *name,
                          SwitchoverPhase phase)
{
    if (record->phase == phase) {
        return;
    }
    record->phase = phase;
    if (phase >= SWITCHOVER_SHIPPING) {
        record->took_part = true;
    }
    log_info("switchover", "%s: %s", name, phase_names[phase]);
    event_emit("SWITCHOVER",
               json_pack("{s:s, s:s, s:s}", "name", name, "side", record->side,
                         "phase", phase_names[phase]));
}

void switchover_moved(SwitchoverRecord *record, int64_t queued_us)
{
    int64_t now = g_get_real_time();

    if (record->first_us == 0) {
        record->first_us = now;
    }
    record->last_us = now;
    record->longest_hold_us =
        MAX(record->longest_hold_us, now - MIN(queued_us, now));
}

static void add_time(json_t *entry, const char *key, int64_t us)
{
    if (us > 0) {
        json_object_set_new(entry, key, json_integer(us));
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
    return entry;
}
