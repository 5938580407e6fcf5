/* SPDX-License-Identifier: BSD-2-Clause */
#include "switchover/ledger-internal.h"

/* Samples of the offset that are needed before it is trusted. */
#define USED_SAMPLES_MIN 3
/*
 * A stop may be reported late: samples taken before that include frames that it
 * has swallowed. So the window of offsets spans some time (a sample every
 * USED_PACE_US); if tx_packets has not changed for longer than a report is ever
 * late (USED_QUIET_US), one sample is enough.
 */
#define USED_PACE_US 20000
#define USED_QUIET_US 100000
/* The queue counts as empty after so many samples in a row, over so much time.
 */
#define REST_SAMPLES_MIN 5
#define REST_US 5000
/* Frames that a stop swallows are taken at most so long before it. */
#define SWALLOWED_EARLY_US 20000
/* A least @content that so many samples have not found again is void. */
#define LEAST_AGE_MAX 200

void ledger_init(Ledger *ledger, uint64_t first, uint32_t capacity)
{
    *ledger = (Ledger){
        .meter.entered = first,
        .sampled = first,
        .counted = first,
        .counting = first,
        .accepted = first,
        .taken = first,
        .capacity = capacity,
        .room_most = UINT64_MAX,
    };
}

void ledger_set_multi(Ledger *ledger)
{
    ledger->multi = true;
    ledger->queue_length = ledger->capacity - LEDGER_DESTROYED_MAX;
    ledger->capacity = UINT32_MAX / 4; /* as many queues as there may be */
    ledger->rest = ledger->rest_before = ledger->accepted;
}

void ledger_captured(Ledger *ledger, unsigned queue, uint64_t n)
{
    meter_enter(&ledger->meter, n);
    ledger->queues[queue].entered += n;
}

uint16_t ledger_least_offset(const Ledger *ledger, const uint16_t *offsets)
{
    unsigned n = MIN(ledger->used_samples, LEDGER_USED_WINDOW);
    uint16_t best = offsets[0];

    for (unsigned i = 1; i < n; i++) {
        if ((int16_t)(offsets[i] - best) < 0) {
            best = offsets[i];
        }
    }
    return best;
}

static uint16_t ledger_used_offset(const Ledger *ledger)
{
    return ledger_least_offset(ledger, ledger->used_offsets);
}

bool ledger_is_exact(const Ledger *ledger)
{
    return ledger->certain && ledger->used_samples >= USED_SAMPLES_MIN &&
           ledger->used_time_us - ledger->used_since_us >= USED_PACE_US;
}

static void ledger_note_offset(Ledger *ledger, const LedgerSample *sample)
{
    unsigned slot = ledger->used_samples++ % LEDGER_USED_WINDOW;

    ledger->used_offsets[slot] =
        (uint16_t)(sample->counters.tx_packets - sample->used);
    ledger_queues_note(ledger, sample, slot);
}

static void ledger_calibrate(Ledger *ledger, const LedgerSample *sample)
{
    uint64_t tx = sample->counters.tx_packets;

    if (tx != ledger->tx_last) {
        ledger->tx_last = tx;
        ledger->moved_us = sample->time_us;
    }
    /*
     * A guest that is behind has no free receive buffer: QEMU then holds a
     * frame that it took, for as long as that lasts. So only an empty queue
     * shows what the offset is at rest.
     */
    if (ledger->frozen || !sample->used_known || !sample->used_stable ||
        ledger->content > 0 ||
        (ledger->multi && !ledger_queues_at_rest(ledger, sample))) {
        return;
    }
    ledger->used_offset_last = (uint16_t)(tx - sample->used);
    if (ledger->used_samples == 0) {
        ledger->used_since_us = ledger->used_time_us = sample->time_us;
    }
    if (sample->time_us - ledger->moved_us >= USED_QUIET_US) {
        ledger->used_samples = 0;
        ledger->used_since_us = ledger->moved_us;
        ledger->used_time_us = sample->time_us;
        while (ledger->used_samples < LEDGER_USED_WINDOW) {
            ledger_note_offset(ledger, sample);
        }
    } else if (ledger->used_samples < LEDGER_USED_WINDOW ||
               sample->time_us - ledger->used_time_us >= USED_PACE_US) {
        ledger_note_offset(ledger, sample);
        ledger->used_time_us = sample->time_us;
    }
}

/* Sets @certain once the queue has been empty in a row of samples without
 * drops. A queue that has been full since before the first sample seems empty,
 * too, but not without drops. */
static void ledger_note_rest(Ledger *ledger, int64_t time_us, uint64_t base,
                             bool dropped)
{
    uint64_t shift = ledger->meter.base - base;

    ledger->content_most = MAX(ledger->content_most + shift, ledger->content);
    if (shift > 0 || dropped || meter_is_in_doubt(&ledger->meter)) {
        ledger->rest_samples = 0;
    } else if (ledger->content == 0) {
        if (ledger->rest_samples++ == 0) {
            ledger->rest_since_us = time_us;
        }
        ledger->certain |= ledger->rest_samples >= REST_SAMPLES_MIN &&
                           time_us - ledger->rest_since_us >= REST_US;
    }
}

uint64_t ledger_doubt(const Ledger *ledger)
{
    return ledger->certain || ledger->content_most > ledger->capacity
               ? 0
               : ledger->capacity - ledger->content_most;
}

/* Updates @content_least, by the greater of two samples in a row: a single one
 * may miss frames (METER_EXCESS_SAMPLES). */
static void ledger_note_least(Ledger *ledger)
{
    uint64_t content = MAX(ledger->content, ledger->content_before);

    ledger->content_before = ledger->content;
    if (content == ledger->content_least) {
        ledger->content_least_samples++;
        ledger->content_least_age = 0;
    } else if (content < ledger->content_least ||
               ++ledger->content_least_age == LEAST_AGE_MAX) {
        ledger->content_least = content;
        ledger->content_least_samples = 1;
        ledger->content_least_age = 0;
    }
}

bool ledger_should_read_again(const Ledger *ledger,
                              const LinkCounters *counters)
{
    uint64_t seen = ledger->meter.entered + ledger->meter.base;
    uint64_t left = counters->tx_packets + counters->tx_dropped;

    return ledger->counting != ledger->meter.entered &&
           (counters->tx_dropped != ledger->dropped_last ||
            (int64_t)(seen - left) >=
                (int64_t)ledger_least_room(ledger_length(ledger)));
}

static void ledger_first_sample(Ledger *ledger, const LinkCounters *counters)
{
    ledger->started = true;
    ledger->dropped_start = ledger->dropped_last = counters->tx_dropped;
    ledger->rest_dropped = ledger->queues_settled = counters->tx_dropped;
}

/* @shift of the frames that the VMM has taken were in the queue before the
 * first capture: goes back by as many. */
static void ledger_take_back(Ledger *ledger, uint64_t shift)
{
    ledger_locate(ledger, ledger->accepted - MIN(shift, ledger->accepted));
    if (!ledger->certain) {
        ledger->stop_accepted -= MIN(shift, ledger->stop_accepted);
    }
}

/* Advances @taken to what the VMM has taken by now. */
static void ledger_advance(Ledger *ledger, const LedgerSample *sample)
{
    uint64_t accepted = sample->counters.tx_packets + ledger->dropped_start -
                        ledger->meter.base;

    /* Not more than was seen to enter, see meter_sample(). */
    accepted = MIN(accepted, ledger->meter.entered + ledger->dropped_start -
                                 ledger->dropped_last);
    /* Our own injections may make it decrease. */
    if ((int64_t)(accepted - ledger->accepted) > 0) {
        ledger_locate(ledger, accepted);
    }
}

/* Updates @rest, if this is a sample at rest. */
static void ledger_note_got(Ledger *ledger, const LedgerSample *sample)
{
    if (ledger->content > 0 || !ledger->certain || ledger->stands ||
        meter_is_in_doubt(&ledger->meter)) {
        return;
    }
    ledger->rest_dropped = ledger->dropped_last;
    if (sample->time_us - ledger->rest_us >= SWALLOWED_EARLY_US) {
        ledger->rest_before = ledger->rest;
        ledger->rest = ledger->accepted;
        ledger->rest_us = sample->time_us;
    }
}

void ledger_sample(Ledger *ledger, const LedgerSample *sample)
{
    const LinkCounters *counters = &sample->counters;
    bool first = !ledger->started;
    bool dropped = !first && counters->tx_dropped > ledger->dropped_last;
    bool took_late = ledger_takes_late(ledger, counters->tx_packets);
    uint64_t base;

    if (first) {
        ledger_first_sample(ledger, counters);
    }
    base = ledger->meter.base;
    ledger->content = meter_sample(&ledger->meter, counters);
    ledger_note_least(ledger);
    ledger_note_rest(ledger, sample->time_us, first ? ledger->meter.base : base,
                     dropped);
    if (!first && ledger->meter.base != base) {
        ledger_take_back(ledger, ledger->meter.base - base);
    }
    if (dropped) {
        ledger_mark(ledger, counters->tx_dropped - ledger->dropped_last,
                    took_late);
        ledger->dropped_last = counters->tx_dropped;
    }
    ledger->sampled = ledger->meter.entered;
    ledger->counted = ledger->counting;
    ledger_advance(ledger, sample);
    ledger_note_got(ledger, sample);
    ledger_calibrate(ledger, sample);
    ledger_queues_sampled(ledger, sample);
    if (!ledger->frozen) {
        ledger_note_past(ledger, sample);
    }
}

uint64_t ledger_history(const Ledger *ledger)
{
    uint64_t back = LEDGER_HISTORY + ledger_doubt(ledger), number;

    if (ledger->multi) {
        back += ledger->accepted - ledger->rest_before;
    }
    number = ledger_number(
        ledger, ledger->accepted - MIN(back, ledger->accepted), false);
    return ledger->n_past > 0
               ? MIN(number,
                     ledger_past(ledger, ledger_past_oldest(ledger))->first)
               : number;
}

uint64_t ledger_pending(const Ledger *ledger)
{
    uint64_t behind = ledger->meter.entered - ledger->taken;
    uint64_t dropped = ledger_dropped(ledger) - ledger->dropped_before;

    return behind - MIN(dropped, behind);
}

bool ledger_wants_sample(const Ledger *ledger, bool used_known)
{
    return ledger_pending(ledger) > 0 || !ledger->certain ||
           meter_is_in_doubt(&ledger->meter) ||
           (used_known && !ledger->frozen &&
            (ledger->used_samples < LEDGER_USED_WINDOW ||
             !ledger_is_exact(ledger) ||
             ledger->used_offset_last != ledger_used_offset(ledger)));
}

bool ledger_swallowed(const Ledger *ledger, const LedgerSample *sample,
                      uint32_t *swallowed)
{
    uint16_t difference;

    if (!sample->used_known || !ledger_is_exact(ledger)) {
        return false;
    }
    difference = (uint16_t)(sample->counters.tx_packets - sample->used -
                            ledger_used_offset(ledger));
    *swallowed = difference;
    return difference <= LEDGER_HISTORY;
}

void ledger_new_index(Ledger *ledger)
{
    ledger->used_samples = 0;
}

void ledger_injected(Ledger *ledger, uint64_t accepted, uint64_t refused)
{
    ledger->meter.base += accepted + refused;
    ledger->dropped_start += refused;
    ledger->dropped_last += refused;
    ledger->rest_dropped += refused;
    ledger->queues_injected = true;
    if (ledger->multi && !ledger->frozen) {
        ledger_new_index(ledger); /* into which queue is not known */
    }
}
