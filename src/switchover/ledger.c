/* SPDX-License-Identifier: BSD-2-Clause */
#include "switchover/ledger.h"

#include <string.h>

/* Samples of the used index that have to agree before it is trusted. */
#define USED_SAMPLES_MIN 3
/*
 * The word of a stop may come late; samples taken meanwhile hold what was
 * swallowed already. So the window of samples spans some time; only when
 * nothing moves for longer than a word is ever late, one sample is enough.
 */
#define USED_PACE_US 20000
#define USED_QUIET_US 100000
/* As many samples find a queue that a running guest empties at its least. */
#define LEAST_SAMPLES_MIN 10
/* What is shipped again when only the counters are known (1-4 measured). */
#define OVERLAP_DEFAULT 8

void ledger_init(Ledger *ledger, uint64_t first)
{
    *ledger = (Ledger){
        .meter.entered = first,
        .sampled = first,
        .accepted = first,
        .taken = first,
    };
}

void ledger_captured(Ledger *ledger, uint64_t n, uint32_t longest)
{
    meter_enter(&ledger->meter, n);
    if (longest > LEDGER_ONE_BUFFER && !ledger->frozen) {
        ledger->large_end = ledger->meter.entered;
        ledger->used_samples = 0;
    }
}

/* Forgets the first @n marks, which were passed. */
static void ledger_forget_marks(Ledger *ledger, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        ledger->dropped_forgotten += ledger->marks[i].dropped;
    }
    ledger->n_marks -= n;
    ledger->n_passed -= n;
    memmove(ledger->marks, ledger->marks + n,
            ledger->n_marks * sizeof(ledger->marks[0]));
}

/* Lets the last mark begin @n frames earlier: more of the frames that were
 * drained before they were counted. */
static void ledger_stretch(Ledger *ledger, uint64_t n)
{
    unsigned i = ledger->n_marks - 1;
    uint64_t first = ledger->marks[i].first;

    ledger->marks[i].first = first - MIN(n, first);
    while (i > ledger->n_passed &&
           ledger->marks[i - 1].end > ledger->marks[i].first) {
        /* Into the one before: then they are one. */
        ledger->marks[i - 1].dropped += ledger->marks[i].dropped;
        ledger->marks[i - 1].end = ledger->marks[i].end;
        ledger->n_marks = i--;
    }
}

/* @dropped of the frames since the last sample found the queue full. */
static void ledger_mark(Ledger *ledger, uint64_t dropped)
{
    uint64_t end = ledger->meter.entered;
    LedgerMark mark = {
        .first = MIN(ledger->sampled, end - MIN(dropped, end)),
        .end = end,
        .dropped = dropped,
        .stands = ledger->stands,
    };
    LedgerMark *last;

    if (ledger->n_marks == LEDGER_MARKS_MAX) {
        ledger_forget_marks(ledger, ledger->n_passed / 2);
    }
    last = &ledger->marks[MAX(ledger->n_marks, 1) - 1];
    if (ledger->n_marks > 0 && ledger->stands && last->stands) {
        last->end = end;
        last->dropped += dropped;
        last->fits = MIN(last->fits, end - last->first - last->dropped);
        ledger->fits_known = true;
        return;
    }
    if (ledger->n_marks > 0 && mark.first < last->end) {
        /* The frames had been drained before they were counted. */
        uint64_t late = dropped - MIN(dropped, end - last->end);
        uint64_t room = last->end - last->first - last->dropped;

        if (late > room) {
            ledger_stretch(ledger, late - room);
        }
        last = &ledger->marks[ledger->n_marks - 1];
        last->dropped += late;
        mark.first = last->end;
        mark.dropped = dropped -= late;
        if (dropped == 0) {
            return;
        }
    }
    if (ledger->n_marks > 0 && last->end == mark.first) {
        bool only_drops = end - mark.first == dropped;

        /* Once the VM stands nothing makes room any more: if there was some,
         * it came before. */
        mark.was_full =
            !ledger->stands &&
            (!last->was_full || last->end - last->first == last->dropped);
        if (ledger->n_marks > ledger->n_passed && only_drops && mark.was_full &&
            !last->was_full) {
            /* A run of drops goes on. */
            last->end = end;
            last->dropped += dropped;
            return;
        }
    }
    if (ledger->n_marks == LEDGER_MARKS_MAX) {
        last->end = end; /* where exactly gets vague; how many does not */
        last->dropped += dropped;
        return;
    }
    mark.fits = mark.end - mark.first - mark.dropped;
    ledger->fits_known = false;
    ledger->marks[ledger->n_marks++] = mark;
}

/* Where the dropped ones of @mark begin. */
static uint64_t mark_begin(const LedgerMark *mark)
{
    return mark->stands     ? mark->first + mark->fits
           : mark->was_full ? mark->first
                            : mark->end - mark->dropped;
}

/* Finds the frame at position @accepted of those that entered the queue: sets
 * @taken and what belongs to it. Within a mark the dropped frames count as its
 * last ones, so the number is rather too low than too high. */
static void ledger_locate(Ledger *ledger, uint64_t accepted)
{
    ledger->accepted = accepted;
    ledger->dropped_before = ledger->dropped_forgotten;
    for (ledger->n_passed = 0; ledger->n_passed < ledger->n_marks;
         ledger->n_passed++) {
        const LedgerMark *mark = &ledger->marks[ledger->n_passed];

        if (accepted + ledger->dropped_before + mark->dropped < mark->end) {
            break;
        }
        ledger->dropped_before += mark->dropped;
    }
    ledger->taken = accepted + ledger->dropped_before;
}

/* The smallest offset of the window: a reader that is slow to publish what it
 * took can only make it larger. */
static uint16_t ledger_used_offset(const Ledger *ledger)
{
    unsigned n = MIN(ledger->used_samples, LEDGER_USED_WINDOW);
    uint16_t best = ledger->used_offsets[0];

    for (unsigned i = 1; i < n; i++) {
        if ((int16_t)(ledger->used_offsets[i] - best) < 0) {
            best = ledger->used_offsets[i];
        }
    }
    return best;
}

bool ledger_is_exact(const Ledger *ledger)
{
    return ledger->used_samples >= USED_SAMPLES_MIN &&
           ledger->used_time_us - ledger->used_since_us >= USED_PACE_US;
}

static void ledger_calibrate(Ledger *ledger, const LedgerSample *sample)
{
    uint64_t tx = sample->counters.tx_packets;
    uint16_t offset = (uint16_t)(tx - sample->used);

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
        ledger->content > 0 || ledger->taken < ledger->large_end) {
        return;
    }
    ledger->used_offset_last = offset;
    if (ledger->used_samples == 0) {
        ledger->used_since_us = ledger->used_time_us = sample->time_us;
    }
    if (sample->time_us - ledger->moved_us >= USED_QUIET_US) {
        ledger->used_samples = 0;
        ledger->used_since_us = ledger->moved_us;
        ledger->used_time_us = sample->time_us;
        while (ledger->used_samples < LEDGER_USED_WINDOW) {
            ledger->used_offsets[ledger->used_samples++] = offset;
        }
    } else if (ledger->used_samples < LEDGER_USED_WINDOW ||
               sample->time_us - ledger->used_time_us >= USED_PACE_US) {
        ledger->used_offsets[ledger->used_samples++ % LEDGER_USED_WINDOW] =
            offset;
        ledger->used_time_us = sample->time_us;
    }
}

static void ledger_note_least(Ledger *ledger)
{
    if (ledger->content < ledger->content_least) {
        ledger->content_least = ledger->content;
        ledger->content_least_samples = 0;
    }
    ledger->content_least_samples += ledger->content == ledger->content_least;
}

void ledger_sample(Ledger *ledger, const LedgerSample *sample)
{
    const LinkCounters *counters = &sample->counters;
    bool first = !ledger->started;
    uint64_t accepted, base;

    if (first) {
        ledger->started = true;
        ledger->dropped_start = ledger->dropped_last = counters->tx_dropped;
    }
    base = ledger->meter.base;
    ledger->content = meter_sample(&ledger->meter, counters);
    ledger_note_least(ledger);
    if (!first && ledger->meter.base != base) {
        /* Frames that we took for ours were others': take that back. */
        ledger_locate(ledger, ledger->accepted - MIN(ledger->meter.base - base,
                                                     ledger->accepted));
    }
    if (counters->tx_dropped > ledger->dropped_last) {
        ledger_mark(ledger, counters->tx_dropped - ledger->dropped_last);
        ledger->dropped_last = counters->tx_dropped;
    }
    ledger->sampled = ledger->meter.entered;
    accepted =
        counters->tx_packets + ledger->dropped_start - ledger->meter.base;
    /* Not more than was seen to enter, see meter_sample(). */
    accepted = MIN(accepted, ledger->meter.entered + ledger->dropped_start -
                                 ledger->dropped_last);
    /* Our own injections make it dip; what is taken stays taken. */
    if ((int64_t)(accepted - ledger->accepted) > 0) {
        ledger_locate(ledger, accepted);
    }
    ledger_calibrate(ledger, sample);
}

uint64_t ledger_dropped(const Ledger *ledger)
{
    uint64_t dropped = ledger->dropped_before;

    for (unsigned i = ledger->n_passed; i < ledger->n_marks; i++) {
        dropped += ledger->marks[i].dropped;
    }
    return dropped;
}

uint64_t ledger_pending(const Ledger *ledger)
{
    uint64_t behind = ledger->meter.entered - ledger->taken;
    uint64_t dropped = ledger_dropped(ledger) - ledger->dropped_before;

    return behind - MIN(dropped, behind);
}

bool ledger_wants_sample(const Ledger *ledger, bool used_known)
{
    return ledger_pending(ledger) > 0 || meter_is_in_doubt(&ledger->meter) ||
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

uint64_t ledger_stop(Ledger *ledger, const LedgerSample *sample,
                     uint32_t overlap, bool fixed, LedgerMethod *method)
{
    uint32_t back;

    ledger->frozen = ledger->stands = true;
    *method = LEDGER_USED_INDEX;
    if (fixed || !ledger_swallowed(ledger, sample, &back)) {
        *method = LEDGER_COUNTERS;
        back = overlap == UINT32_MAX ? OVERLAP_DEFAULT : overlap;
    }
    ledger_locate(ledger, ledger->accepted - MIN(back, ledger->accepted));
    return ledger->taken;
}

void ledger_new_index(Ledger *ledger)
{
    ledger->used_samples = 0;
}

void ledger_resume(Ledger *ledger, uint64_t first)
{
    LedgerMark *last = &ledger->marks[MAX(ledger->n_marks, 1) - 1];

    if (ledger->n_marks > 0 && last->stands && !ledger->fits_known) {
        /* No sample since the queue was full but the one after the resume:
         * then the dropped ones are the last before it. */
        uint64_t behind = last->first + last->dropped;

        last->fits = MIN(last->fits, first - MIN(first, behind));
    }
    ledger->stands = false;
    ledger->content_least = UINT64_MAX;
}

bool ledger_find_destroyed(const Ledger *ledger, uint32_t *destroyed)
{
    *destroyed = (uint32_t)MIN(ledger->content_least, UINT32_MAX);
    return *destroyed == 0 ||
           (*destroyed <= LEDGER_DESTROYED_MAX &&
            ledger->content_least_samples >= LEAST_SAMPLES_MIN);
}

void ledger_destroyed(Ledger *ledger, uint32_t destroyed)
{
    meter_destroyed(&ledger->meter, destroyed);
    ledger->content -= MIN(destroyed, ledger->content);
    ledger_locate(ledger, ledger->accepted + destroyed);
}

void ledger_restart(Ledger *ledger)
{
    ledger->frozen = false;
    ledger_new_index(ledger);
}

void ledger_forget_passed(Ledger *ledger)
{
    ledger_forget_marks(ledger, ledger->n_passed);
}

void ledger_injected(Ledger *ledger, uint64_t accepted, uint64_t refused)
{
    ledger->meter.base += accepted + refused;
    ledger->dropped_start += refused;
    ledger->dropped_last += refused;
}

bool ledger_was_dropped(const Ledger *ledger, uint64_t number)
{
    for (unsigned i = 0; i < ledger->n_marks; i++) {
        const LedgerMark *mark = &ledger->marks[i];

        if (number >= mark->first && number < mark->end) {
            uint64_t begin = mark_begin(mark);

            return number >= begin && number < begin + mark->dropped;
        }
    }
    return false;
}
