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
        ledger->queues[i].dropped +=
            (uint64_t)queue_lacks(ledger, sample, i);
    }
    return true;
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

        queue->offsets[slot] = (uint16_t)(queue->entered - queue->dropped -
                                          sample->queue_used[i]);
    }
}

bool ledger_queues_stop(Ledger *ledger, const LedgerSample *sample)
{
    /* They are counted modulo 65,536. */
    if (ledger->content + queues_dropped(ledger) > INT16_MAX / 2 ||
        meter_is_in_doubt(&ledger->meter) ||
        !queues_are_covered(ledger, sample)) {
        return false;
    }
    for (unsigned i = 0; i < sample->n_used; i++) {
        int16_t lacks = queue_lacks(ledger, sample, i);

        if (lacks < 0) {
            return false;
        }
        ledger->queues[i].lacks = (uint32_t)lacks;
    }
    return true;
}

void ledger_begin_at(Ledger *ledger, uint64_t number)
{
    uint64_t back = ledger->taken - MIN(number, ledger->taken);

    ledger_locate(ledger, ledger->accepted - MIN(back, ledger->accepted));
    ledger->stop_back = (uint32_t)(ledger->stop_accepted - ledger->accepted);
}
