/* SPDX-License-Identifier: BSD-2-Clause */
/* The ledger: from a stop until what it has lost is settled. */
#include "switchover/ledger-internal.h"

/* Samples in a row that have to find the same least content of the queue. */
#define LEAST_SAMPLES_MIN 10
/* Frames shipped again if the used index is not known; a VMM swallows 1 to 4
 * (measured with QEMU). */
#define OVERLAP_DEFAULT 8

void ledger_begin_at(Ledger *ledger, uint64_t number)
{
    ledger->taken = MIN(number, ledger->taken);
    ledger->dropped_before = ledger->dropped_forgotten;
    for (ledger->n_passed = 0; ledger->n_passed < ledger->n_marks &&
                               ledger->marks[ledger->n_passed].end <= number;
         ledger->n_passed++) {
        ledger->dropped_before += ledger->marks[ledger->n_passed].dropped;
    }
    ledger->dropped_before = MIN(ledger->dropped_before, ledger->taken);
    ledger->accepted = ledger->taken - ledger->dropped_before;
}

void ledger_note_past(Ledger *ledger, const LedgerSample *sample)
{
    uint64_t back =
        LEDGER_TAKEN_LATE_MAX + OVERLAP_DEFAULT + ledger_doubt(ledger);
    uint64_t first = ledger->accepted - MIN(back, ledger->accepted);

    if (ledger->multi) {
        first = MIN(first, ledger->rest_before);
    }
    ledger->past[ledger->n_past++ % LEDGER_PAST] = (LedgerPast){
        .time_us = sample->time_us,
        .first = ledger_number(ledger, first, false),
        .dropped = ledger->dropped_last,
    };
}

uint64_t ledger_ran_unheard(Ledger *ledger, int64_t time_us, uint64_t number)
{
    uint64_t i = MAX(ledger->n_past, 1) - 1, held;

    while (i > ledger_past_oldest(ledger) &&
           ledger_past(ledger, i)->time_us > time_us) {
        i--;
    }
    held = (uint64_t)ledger->capacity + LEDGER_TAKEN_LATE_MAX +
           OVERLAP_DEFAULT + ledger->dropped_last -
           ledger_past(ledger, i)->dropped;
    ledger->stop_full = true;
    ledger->queues_known = false;
    ledger_begin_at(
        ledger, MAX(ledger_past(ledger, i)->first, number - MIN(held, number)));
    return ledger->taken;
}

uint64_t ledger_stop_unheard(Ledger *ledger)
{
    ledger->stop_full = true;
    ledger->queues_known = false;
    if (ledger->multi) {
        ledger_locate(ledger, MIN(ledger->accepted, ledger->rest_before));
    }
    if (ledger->taken > ledger->room_most) {
        uint64_t back = ledger->taken - ledger->room_least;

        ledger_locate(ledger, ledger->accepted - MIN(back, ledger->accepted));
    }
    return ledger->taken;
}

uint64_t ledger_stop(Ledger *ledger, const LedgerSample *sample,
                     uint32_t overlap, bool fixed, LedgerMethod *method)
{
    bool again = ledger->frozen;
    uint32_t back;

    ledger->frozen = ledger->stands = true;
    ledger->made_room = false;
    *method = LEDGER_USED_INDEX;
    if (fixed || !ledger_swallowed(ledger, sample, &back)) {
        *method = LEDGER_COUNTERS;
        back = overlap == UINT32_MAX ? OVERLAP_DEFAULT : overlap;
    }
    /* At a second stop it is not known what waited at the first. */
    ledger->queues_known = ledger->multi && !again;
    if (ledger->queues_known &&
        !ledger_queues_stop(ledger, sample, *method == LEDGER_COUNTERS,
                            overlap == UINT32_MAX ? OVERLAP_DEFAULT
                                                  : overlap)) {
        *method = LEDGER_COUNTERS;
    }
    ledger->stop_accepted = ledger->accepted;
    ledger->stop_tx = sample->counters.tx_packets;
    ledger->stop_entered = ledger->meter.entered;
    ledger->stop_full =
        ledger->multi
            ? !ledger->queues_known || ledger_queues_full(ledger)
            : ledger->content > ledger_least_room(ledger_length(ledger));
    ledger->stop_back = back;
    ledger->stop_fixed = fixed;
    back += fixed ? 0 : (uint32_t)ledger_doubt(ledger);
    ledger_locate(ledger, ledger->accepted - MIN(back, ledger->accepted));
    if (ledger->taken > ledger->room_most) {
        ledger_stop_unheard(ledger);
    }
    return ledger->taken;
}

uint64_t ledger_found(Ledger *ledger, const LedgerFound *found)
{
    uint64_t entered = ledger->meter.entered, first = ledger->taken;
    uint64_t left = found->counters.tx_packets + found->counters.tx_dropped;
    uint64_t out = found->taken + found->content;
    uint64_t dropped = entered - first - MIN(out, entered - first);

    ledger->started = ledger->certain = true;
    ledger->frozen = ledger->stands = true;
    ledger->meter.primed = true;
    ledger->meter.base = left + found->content - entered;
    ledger->tx_last = found->counters.tx_packets;
    ledger->dropped_last = found->counters.tx_dropped;
    ledger->rest_dropped = ledger->queues_settled = ledger->dropped_last;
    ledger->dropped_start = ledger->dropped_last - dropped;
    ledger->sampled = ledger->counted = ledger->counting = entered;
    ledger->content = ledger->content_most = found->content;
    if (dropped > 0) {
        ledger_mark_found(ledger, dropped, found->full);
    }
    ledger->stop_back = (uint32_t)found->swallowed;
    ledger->stop_fixed = found->idle;
    ledger->stop_accepted = first + found->taken;
    ledger->stop_tx = ledger->tx_last;
    ledger->stop_entered = entered;
    ledger->taken = first + found->taken;
    ledger_begin_at(ledger, ledger->taken - found->swallowed);
    return ledger->taken;
}

/* Behind those so many tell which they are. */
#define LEDGER_HEAD 4

/* Is it certain which frame is the next to be taken, and that none was dropped
 * among those behind it that a stop may destroy? */
static bool ledger_head_is_certain(const Ledger *ledger)
{
    uint64_t end = ledger->taken + LEDGER_DESTROYED_MAX +
                   LEDGER_TAKEN_LATE_MAX + LEDGER_HEAD;

    for (unsigned i = 0; i < ledger->n_marks; i++) {
        if (ledger->marks[i].end > ledger->taken &&
            ledger->marks[i].first < end) {
            return false;
        }
    }
    return true;
}

bool ledger_place(const Ledger *ledger, uint64_t number, LedgerPlace *place)
{
    *place = (LedgerPlace){
        .place = number + ledger->meter.base,
        .taken = ledger->accepted + ledger->meter.base - ledger->dropped_start,
        .full = ledger->stop_full,
    };
    return ledger->certain &&
           (!ledger->stop_full || (!ledger->multi && number == ledger->taken &&
                                   ledger_head_is_certain(ledger)));
}

uint32_t ledger_lost_most(const Ledger *ledger)
{
    uint64_t later = ledger->resume_tx - ledger->stop_tx;

    return ledger->stop_back +
           (ledger->stop_fixed ? 0
                               : (uint32_t)MIN(later, LEDGER_TAKEN_LATE_MAX));
}

void ledger_lost(const Ledger *ledger, uint32_t n, uint64_t *first,
                 uint64_t *end)
{
    uint64_t doubt = ledger->stop_fixed ? 0 : ledger_doubt(ledger);
    uint64_t begin = ledger->stop_accepted -
                     MIN(ledger->stop_back + doubt, ledger->stop_accepted);

    *first = ledger->queues_known ? 0 : ledger_number(ledger, begin, false);
    *end = !ledger->multi ? ledger_number(ledger, begin + n + doubt, true)
           : ledger->resume_tx == ledger->stop_tx ? ledger->stop_entered
                                                  : ledger->resume_entered;
}

void ledger_resume(Ledger *ledger, uint64_t first, uint64_t most)
{
    ledger_bound_run(ledger, first, most);
    ledger->resume_tx = ledger->tx_last;
    ledger->resume_entered = ledger->meter.entered;
    ledger->resume_first = first;
    ledger->queues_vague |= ledger->queues_late;
    ledger->stands = false;
    ledger->content_least = ledger->content_before = UINT64_MAX;
    ledger->content_least_samples = ledger->content_least_age = 0;
}

bool ledger_find_destroyed(const Ledger *ledger, uint32_t *destroyed)
{
    *destroyed = ledger->stop_full
                     ? (uint32_t)MIN(ledger->content_least, UINT32_MAX)
                     : 0;
    return !ledger->stop_full || *destroyed == 0 ||
           ((*destroyed <= LEDGER_DESTROYED_MAX || ledger->multi) &&
            ledger->content_least_samples >= LEAST_SAMPLES_MIN);
}

void ledger_destroyed(Ledger *ledger, uint32_t destroyed)
{
    ledger->stop_full = false; /* that is settled */
    meter_destroyed(&ledger->meter, destroyed);
    ledger->content -= MIN(destroyed, ledger->content);
    ledger_locate(ledger, ledger->accepted + destroyed);
}

void ledger_restart(Ledger *ledger, uint32_t lost)
{
    if (!ledger_is_exact(ledger) || ledger->multi) {
        ledger_new_index(ledger);
    }
    for (unsigned i = 0; i < LEDGER_USED_WINDOW; i++) {
        ledger->used_offsets[i] = (uint16_t)(ledger->used_offsets[i] + lost);
    }
    ledger->used_offset_last = (uint16_t)(ledger->used_offset_last + lost);
    ledger->frozen = false;
}
