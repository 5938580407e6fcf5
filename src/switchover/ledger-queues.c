/* SPDX-License-Identifier: BSD-2-Clause */
/* The ledger: a TAP with several queues, each first in, first out. */
#include "switchover/ledger-internal.h"

/* How many frames of queue @i the guest does not have, if the window of samples
 * is right: those in the queue, swallowed ones, and such as found it full and
 * are not known to have. Below 0: it is not. */
static int16_t queue_lacks(const Ledger *ledger, const LedgerSample *sample,
                           unsigned i)
{
    const LedgerQueue *queue = &ledger->queues[i];

    return (int16_t)(queue->entered - queue->dropped - sample->queue_used[i] -
                     ledger_least_offset(ledger, queue->offsets));
}

/* Frames come in no queue but those whose used index is known. */
static bool queues_are_covered(const Ledger *ledger, const LedgerSample *sample)
{
    for (unsigned i = sample->n_used; i < LEDGER_QUEUES_MAX; i++) {
        if (ledger->queues[i].entered > 0) {
            return false;
        }
    }
    return true;
}

/* Frames that found a queue full, and it is not known which one. */
static uint64_t queues_dropped(const Ledger *ledger)
{
    return ledger->dropped_last - ledger->queues_settled;
}

/* All queues are empty: a frame that the guest lacks has found one full. False
 * if that does not come out even. */
static bool queues_settle(Ledger *ledger, const LedgerSample *sample)
{
    uint64_t dropped = queues_dropped(ledger);
    int64_t sum = 0;
    bool sane = true;

    ledger->queues_settled = ledger->dropped_last;
    if (ledger->used_samples == 0) {
        return true; /* nothing is known that it could change */
    }
    for (unsigned i = 0; i < sample->n_used; i++) {
        int16_t lacks = queue_lacks(ledger, sample, i);

        sum += lacks;
        sane &= lacks >= 0;
    }
    if (!sane || (dropped > 0 && sum != (int64_t)dropped)) {
        return false;
    }
    for (unsigned i = 0; dropped > 0 && i < sample->n_used; i++) {
        ledger->queues[i].dropped += (uint64_t)queue_lacks(ledger, sample, i);
    }
    return true;
}

void ledger_counted(Ledger *ledger)
{
    ledger->counting = ledger->meter.entered;
    for (unsigned i = 0; i < LEDGER_QUEUES_MAX; i++) {
        ledger->queues[i].counted = ledger->queues[i].entered;
    }
}

bool ledger_queues_at_rest(Ledger *ledger, const LedgerSample *sample)
{
    if (meter_is_in_doubt(&ledger->meter)) {
        return false; /* a frame that has left is still to be seen */
    }
    if (!queues_settle(ledger, sample)) {
        ledger->used_samples = 0;
    }
    return queues_are_covered(ledger, sample);
}

void ledger_queues_note(Ledger *ledger, const LedgerSample *sample,
                        unsigned slot)
{
    for (unsigned i = 0; i < sample->n_used; i++) {
        LedgerQueue *queue = &ledger->queues[i];

        queue->offsets[slot] =
            (uint16_t)(queue->entered - queue->dropped - sample->queue_used[i]);
    }
}

static bool queues_are_told(const Ledger *ledger, const LedgerSample *sample)
{
    /* They are counted modulo 65,536. */
    if (ledger->content + queues_dropped(ledger) > INT16_MAX / 2 ||
        meter_is_in_doubt(&ledger->meter) ||
        !queues_are_covered(ledger, sample)) {
        return false;
    }
    for (unsigned i = 0; i < sample->n_used; i++) {
        if (queue_lacks(ledger, sample, i) < 0) {
            return false;
        }
    }
    return true;
}

/* What the guest may lack of each: all that is anywhere, as much as a queue
 * holds, and @overlap; dropped ones may be among the last. */
static uint32_t queues_lack_most(const Ledger *ledger, uint32_t overlap)
{
    uint64_t most = ledger->queue_length + LEDGER_DESTROYED_MAX;

    if (ledger->certain) {
        most = MIN(most, ledger->content);
    }
    most += overlap + ledger->dropped_last - ledger->rest_dropped;
    return (uint32_t)MIN(most, UINT32_MAX);
}

bool ledger_queues_stop(Ledger *ledger, const LedgerSample *sample, bool fixed,
                        uint32_t overlap)
{
    uint32_t most = queues_lack_most(ledger, overlap);

    ledger->queues_told = !fixed && queues_are_told(ledger, sample);
    ledger->queues_injected = ledger->queues_vague = ledger->queues_late =
        false;
    ledger->queues_unseen = !ledger->certain;
    ledger->stop_dropped = ledger->dropped_last;
    ledger->resume_first = UINT64_MAX;
    for (unsigned i = 0; i < LEDGER_QUEUES_MAX; i++) {
        LedgerQueue *queue = &ledger->queues[i];

        queue->lacks = !ledger->queues_told ? MIN(most, queue->entered)
                       : i < sample->n_used
                           ? (uint32_t)queue_lacks(ledger, sample, i)
                           : 0;
        queue->stop_entered = queue->entered;
        queue->sampled = queue->counted;
        queue->full = UINT64_MAX;
        queue->lacks_least = UINT32_MAX;
    }
    return ledger->queues_told;
}

/* How many frames that the guest lacked at the stop, or that came since, came
 * before frame @serial of @queue. Below 0: it is one that the guest has. */
static int64_t queue_place(const LedgerQueue *queue, uint64_t serial)
{
    return (int64_t)(serial + queue->lacks - queue->stop_entered);
}

/* Can frame @serial have found no room? What a stop takes out only makes more
 * of it. */
static bool queue_may_be_full(const Ledger *ledger, const LedgerQueue *queue,
                              uint64_t serial)
{
    return ledger->queues_unseen ||
           queue_place(queue, serial) >=
               (int64_t)ledger_least_room(ledger->queue_length);
}

bool ledger_queues_full(const Ledger *ledger)
{
    for (unsigned i = 0; i < LEDGER_QUEUES_MAX; i++) {
        if (ledger->queues[i].lacks >=
            ledger_least_room(ledger->queue_length)) {
            return true;
        }
    }
    return false;
}

/*
 * Nobody empties the queues, so one that is full stays full. What more was
 * dropped was so by another one, if a frame has come in but one that may be
 * full. If that is not certain, each is taken for full as early as it may be.
 */
static void queues_stand(Ledger *ledger)
{
    int64_t more = (int64_t)(ledger->dropped_last - ledger->stop_dropped);
    LedgerQueue *fills = NULL;
    bool late = false, was_late = ledger->queues_late;
    unsigned n = 0;

    for (unsigned i = 0; i < LEDGER_QUEUES_MAX; i++) {
        LedgerQueue *queue = &ledger->queues[i];

        if (!queue_may_be_full(ledger, queue, queue->entered - 1)) {
            continue;
        }
        late |= queue->entered > queue->counted;
        if (queue->full != UINT64_MAX) {
            more -= (int64_t)(queue->entered - queue->full);
        } else if (queue->entered > queue->sampled) {
            fills = queue;
            n++;
        }
    }
    ledger->queues_late = late;
    late |= was_late;
    if (n > 0 && late) {
        ledger->queues_vague = true;
    } else if (n == 1 && more > 0) {
        fills->full = fills->entered - MIN((uint64_t)more, fills->entered);
    } else if (more != 0 && !late) {
        ledger->queues_vague = true;
    }
}

static void queues_run(Ledger *ledger, const LedgerSample *sample)
{
    for (unsigned i = 0; i < sample->n_used; i++) {
        LedgerQueue *queue = &ledger->queues[i];
        int16_t lacks = queue_lacks(ledger, sample, i);

        if (lacks >= 0 && queue_place(queue, queue->entered) <= INT16_MAX) {
            queue->lacks_least = MIN(queue->lacks_least, (uint32_t)lacks);
        }
    }
}

void ledger_queues_sampled(Ledger *ledger, const LedgerSample *sample)
{
    if (!ledger->queues_known) {
        return;
    }
    if (ledger->stands) {
        queues_stand(ledger);
    } else if (ledger->queues_told && sample->used_stable && ledger->frozen &&
               ledger->used_samples > 0) {
        queues_run(ledger, sample);
    }
    for (unsigned i = 0; i < LEDGER_QUEUES_MAX; i++) {
        ledger->queues[i].sampled = ledger->queues[i].counted;
    }
}

bool ledger_queue_dropped(const Ledger *ledger, unsigned i, uint64_t serial,
                          uint64_t number)
{
    const LedgerQueue *queue = &ledger->queues[i];

    if (serial >= queue->stop_entered && number < ledger->resume_first) {
        return serial >= queue->full ||
               (ledger->queues_vague &&
                queue_may_be_full(ledger, queue, serial));
    }
    return queue_may_be_full(ledger, queue, serial) &&
           ledger_may_be_dropped(ledger, number);
}

bool ledger_queue_lost(const Ledger *ledger, unsigned i, uint64_t serial,
                       uint32_t n)
{
    const LedgerQueue *queue = &ledger->queues[i];

    if (!ledger->queues_told) {
        n = queue->lacks + LEDGER_TAKEN_LATE_MAX; /* any of them */
    } else if (!ledger->queues_injected) {
        n = MIN(n, queue->lacks_least);
    }
    return queue_place(queue, serial) < n;
}
