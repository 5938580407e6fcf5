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
/* A full queue may hold less than its length: the kernel frees its slots 16 at
 * a time (ptr_ring.h). */
#define SLOTS_LATE_MAX 32
/* What tells that the queue is empty: so many samples in a row that find it so,
 * over so long a time. */
#define REST_SAMPLES_MIN 5
#define REST_US 5000
/* As many samples find a queue that a running guest empties at its least. */
#define LEAST_SAMPLES_MIN 10
/* What is shipped again when only the counters are known (1-4 measured). */
#define OVERLAP_DEFAULT 8
/* The same for several queues together. */
#define OVERLAP_MULTI 64
/* What the VMM takes when it has said already that the machine stands still. */
#define TAKEN_LATE_MAX 2

void ledger_init(Ledger *ledger, uint64_t first, uint32_t capacity)
{
    *ledger = (Ledger){
        .meter.entered = first,
        .sampled = first,
        .accepted = first,
        .taken = first,
        .capacity = capacity,
    };
}

void ledger_set_multi(Ledger *ledger)
{
    ledger->multi = true;
    ledger->capacity = UINT32_MAX / 4; /* as many queues as there may be */
    ledger->rest = ledger->rest_before = ledger->accepted;
}

void ledger_captured(Ledger *ledger, uint64_t n, uint32_t longest)
{
    meter_enter(&ledger->meter, n);
    if (longest > LEDGER_ONE_BUFFER && ledger->frozen) {
        ledger->large_frozen = true;
    } else if (longest > LEDGER_ONE_BUFFER) {
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

/* Old marks are forgotten; or, while a stop may go back far, two of them become
 * one. */
static void ledger_make_room(Ledger *ledger)
{
    unsigned n = ledger->n_passed / 4;

    if (ledger->certain) {
        ledger_forget_marks(ledger, ledger->n_passed / 2);
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        LedgerMark *mark = &ledger->marks[i];

        *mark = ledger->marks[2 * i];
        mark->end = ledger->marks[2 * i + 1].end;
        mark->dropped += ledger->marks[2 * i + 1].dropped;
    }
    ledger->n_marks -= n;
    ledger->n_passed -= n;
    memmove(ledger->marks + n, ledger->marks + 2 * n,
            (ledger->n_marks - n) * sizeof(ledger->marks[0]));
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
static void ledger_mark(Ledger *ledger, uint64_t dropped, uint64_t tx)
{
    uint64_t end = ledger->meter.entered;
    LedgerMark mark = {
        .first = MIN(ledger->sampled, end - MIN(dropped, end)),
        .end = end,
        .dropped = dropped,
        .stands = ledger->stands,
    };
    LedgerMark *last;
    bool took_late;

    if (ledger->n_marks == LEDGER_MARKS_MAX) {
        ledger_make_room(ledger);
    }
    last = &ledger->marks[MAX(ledger->n_marks, 1) - 1];
    /* A VMM that takes a late one makes room, and there may be a second run. */
    took_late = tx != ledger->mark_tx && tx - ledger->mark_tx <= TAKEN_LATE_MAX;
    ledger->mark_tx = tx;
    if (ledger->n_marks > 0 && ledger->stands && last->stands && !took_late) {
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
    return ledger->certain && ledger->used_samples >= USED_SAMPLES_MIN &&
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

/*
 * A queue that is empty in sample after sample, while none is dropped, is one
 * that the guest empties. One that is full from before we began to look can
 * seem empty too, but not without drops.
 */
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
    bool dropped = !first && counters->tx_dropped > ledger->dropped_last;

    if (first) {
        ledger->started = true;
        ledger->dropped_start = ledger->dropped_last = counters->tx_dropped;
    }
    base = ledger->meter.base;
    ledger->content = meter_sample(&ledger->meter, counters);
    ledger_note_least(ledger);
    ledger_note_rest(ledger, sample->time_us, first ? ledger->meter.base : base,
                     dropped);
    if (!first && ledger->meter.base != base) {
        /* Frames that we took for ours were others': take that back. */
        uint64_t shift = ledger->meter.base - base;

        ledger_locate(ledger, ledger->accepted - MIN(shift, ledger->accepted));
        if (!ledger->certain) {
            ledger->stop_accepted -= MIN(shift, ledger->stop_accepted);
        }
    }
    if (dropped) {
        ledger_mark(ledger, counters->tx_dropped - ledger->dropped_last,
                    counters->tx_packets);
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
    if (ledger->content == 0 && ledger->certain && !ledger->stands &&
        !meter_is_in_doubt(&ledger->meter)) {
        ledger->rest_before = ledger->rest;
        ledger->rest = ledger->accepted;
    }
    ledger_calibrate(ledger, sample);
}

/* The number of the frame at position @accepted of those that entered the
 * queue; the least that it can be, or the most. */
static uint64_t ledger_number(const Ledger *ledger, uint64_t accepted,
                              bool most)
{
    uint64_t number = accepted + ledger->dropped_forgotten;

    for (unsigned i = 0; i < ledger->n_marks; i++) {
        const LedgerMark *mark = &ledger->marks[i];

        if (most ? number <= mark->first : number + mark->dropped < mark->end) {
            break;
        }
        number += mark->dropped;
    }
    return number;
}

uint64_t ledger_history(const Ledger *ledger)
{
    uint64_t back = LEDGER_HISTORY + ledger_doubt(ledger);

    if (ledger->multi) {
        back += ledger->accepted - ledger->rest_before;
    }
    return ledger_number(ledger, ledger->accepted - MIN(back, ledger->accepted),
                         false);
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

    if (!sample->used_known || !ledger_is_exact(ledger) ||
        ledger->large_frozen) {
        return false;
    }
    difference = (uint16_t)(sample->counters.tx_packets - sample->used -
                            ledger_used_offset(ledger));
    *swallowed = difference;
    return difference <= LEDGER_HISTORY;
}

/* The queue was full before the stop, which has made room in it: then the
 * frames that found it came from @first on. */
static void ledger_split_mark(Ledger *ledger, uint64_t first)
{
    LedgerMark *mark = &ledger->marks[MAX(ledger->n_marks, 1) - 1], behind;

    if (ledger->n_marks == 0 || ledger->n_marks == LEDGER_MARKS_MAX ||
        !mark->was_full || first <= mark->first || first >= mark->end ||
        first - mark->first >= mark->dropped) {
        return;
    }
    behind = (LedgerMark){
        .first = first,
        .end = mark->end,
        .dropped = mark->dropped - (first - mark->first),
    };
    mark->end = first;
    mark->dropped = first - mark->first;
    ledger->marks[ledger->n_marks++] = behind;
}

uint64_t ledger_stop(Ledger *ledger, const LedgerSample *sample, uint64_t first,
                     uint32_t overlap, bool fixed, LedgerMethod *method)
{
    uint32_t back, queue;

    ledger_split_mark(ledger, first);
    ledger->frozen = ledger->stands = true;
    ledger->large_frozen = false;
    *method = LEDGER_USED_INDEX;
    if (ledger->multi) {
        *method = LEDGER_COUNTERS;
        back = overlap == UINT32_MAX ? OVERLAP_MULTI : overlap;
        back += (uint32_t)MIN(ledger->accepted - ledger->rest_before,
                              UINT32_MAX / 4);
    } else if (fixed || !ledger_swallowed(ledger, sample, &back)) {
        *method = LEDGER_COUNTERS;
        back = overlap == UINT32_MAX ? OVERLAP_DEFAULT : overlap;
    }
    ledger->stop_accepted = ledger->accepted;
    ledger->stop_tx = sample->counters.tx_packets;
    ledger->stop_entered = ledger->meter.entered;
    queue = ledger->capacity - MIN(LEDGER_DESTROYED_MAX, ledger->capacity);
    ledger->stop_full =
        ledger->multi ||
        ledger->content + MIN(SLOTS_LATE_MAX, queue / 2) > queue;
    ledger->stop_back = back;
    ledger->stop_fixed = fixed;
    back += fixed ? 0 : (uint32_t)ledger_doubt(ledger);
    ledger_locate(ledger, ledger->accepted - MIN(back, ledger->accepted));
    return ledger->taken;
}

uint32_t ledger_lost_most(const Ledger *ledger)
{
    uint64_t later = ledger->resume_tx - ledger->stop_tx;

    return ledger->stop_back +
           (ledger->stop_fixed ? 0 : (uint32_t)MIN(later, TAKEN_LATE_MAX));
}

void ledger_lost(const Ledger *ledger, uint32_t n, uint64_t *first,
                 uint64_t *end)
{
    uint64_t doubt = ledger->stop_fixed ? 0 : ledger_doubt(ledger);
    uint64_t begin = ledger->stop_accepted -
                     MIN(ledger->stop_back + doubt, ledger->stop_accepted);

    *first = ledger_number(ledger, begin, false);
    *end = !ledger->multi ? ledger_number(ledger, begin + n + doubt, true)
           : ledger->resume_tx == ledger->stop_tx ? ledger->stop_entered
                                                  : ledger->resume_entered;
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
    ledger->resume_tx = ledger->tx_last;
    ledger->resume_entered = ledger->meter.entered;
    ledger->stands = false;
    ledger->content_least = UINT64_MAX;
}

bool ledger_find_destroyed(const Ledger *ledger, uint32_t *destroyed)
{
    *destroyed = ledger->stop_full
                     ? (uint32_t)MIN(ledger->content_least, UINT32_MAX)
                     : 0;
    return *destroyed == 0 ||
           ((*destroyed <= LEDGER_DESTROYED_MAX || ledger->multi) &&
            ledger->content_least_samples >= LEAST_SAMPLES_MIN);
}

void ledger_destroyed(Ledger *ledger, uint32_t destroyed)
{
    meter_destroyed(&ledger->meter, destroyed);
    ledger->content -= MIN(destroyed, ledger->content);
    ledger_locate(ledger, ledger->accepted + destroyed);
}

void ledger_restart(Ledger *ledger, uint32_t lost)
{
    if (!ledger_is_exact(ledger) || ledger->large_frozen) {
        ledger_new_index(ledger);
    }
    for (unsigned i = 0; i < LEDGER_USED_WINDOW; i++) {
        ledger->used_offsets[i] = (uint16_t)(ledger->used_offsets[i] + lost);
    }
    ledger->frozen = ledger->large_frozen = false;
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

static const LedgerMark *ledger_find_mark(const Ledger *ledger, uint64_t number)
{
    for (unsigned i = 0; i < ledger->n_marks; i++) {
        const LedgerMark *mark = &ledger->marks[i];

        if (number >= mark->first && number < mark->end) {
            return mark;
        }
    }
    return NULL;
}

bool ledger_may_be_dropped(const Ledger *ledger, uint64_t number)
{
    return ledger_find_mark(ledger, number) != NULL;
}

bool ledger_was_dropped(const Ledger *ledger, uint64_t number)
{
    const LedgerMark *mark = ledger_find_mark(ledger, number);
    uint64_t begin = mark ? mark_begin(mark) : 0;

    return mark && (ledger->multi ||
                    (number >= begin && number < begin + mark->dropped));
}
