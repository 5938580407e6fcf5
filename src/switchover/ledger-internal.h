/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the ledger share: ledger.c (numbers, samples, the used
 * index), ledger-marks.c (which frames found the queue full), ledger-queues.c
 * (several queues), ledger-stop.c (from a stop until it is settled).
 */
#ifndef TF_SWITCHOVER_LEDGER_INTERNAL_H
#define TF_SWITCHOVER_LEDGER_INTERNAL_H

#include "switchover/ledger.h"

/* What the VMM takes when it has said already that the machine stands still. */
#define LEDGER_TAKEN_LATE_MAX 2

/* Has the VMM of a VM that stands still taken a late frame since the last
 * sample? tx_packets is @tx now. That makes room: for up to 16 frames, since
 * the kernel frees its slots 16 at a time (ptr_ring.h), and those that the stop
 * has destroyed are among them. */
bool ledger_takes_late(Ledger *ledger, uint64_t tx);
/* @dropped of the frames since the last sample found the queue full. */
void ledger_mark(Ledger *ledger, uint64_t dropped, bool took_late);

/* @dropped frames found the queue full before the first sample, and none before
 * frame @full did. */
void ledger_mark_found(Ledger *ledger, uint64_t dropped, uint64_t full);

/* Finds the frame at position @accepted of those that entered the queue: sets
 * @taken and what belongs to it. Within a mark the dropped frames count as its
 * last ones, so the number is rather too low than too high. */
void ledger_locate(Ledger *ledger, uint64_t accepted);

/* The number of the frame at position @accepted of those that entered the
 * queue; the least that it can be, or the most. */
uint64_t ledger_number(const Ledger *ledger, uint64_t accepted, bool most);

/* The smallest of a window of offsets: a reader that is slow to publish what it
 * took can only make one larger. */
uint16_t ledger_least_offset(const Ledger *ledger, const uint16_t *offsets);

/* @sample found nothing under way in any of several queues: what was dropped by
 * which of them is known now. False: it is not fit for the window. */
bool ledger_queues_at_rest(Ledger *ledger, const LedgerSample *sample);
/* Puts it there. */
void ledger_queues_note(Ledger *ledger, const LedgerSample *sample,
                        unsigned slot);
/* The VM stands still: sets what the guest lacks of each; false: that is the
 * most that it can be, @overlap frames that it was given among them. */
bool ledger_queues_stop(Ledger *ledger, const LedgerSample *sample, bool fixed,
                        uint32_t overlap);
/* After each sample since then. */
void ledger_queues_sampled(Ledger *ledger, const LedgerSample *sample);
/* Is one of them full, or nearly so? */
bool ledger_queues_full(const Ledger *ledger);

/* A full queue may hold less than its @length: the kernel frees its slots 16 at
 * a time (ptr_ring.h). */
#define LEDGER_SLOTS_LATE_MAX 32

static inline uint32_t ledger_least_room(uint32_t length)
{
    return length - MIN(LEDGER_SLOTS_LATE_MAX, length / 2);
}

/* What the queue holds, or each of several. */
static inline uint32_t ledger_length(const Ledger *ledger)
{
    return ledger->multi
               ? ledger->queue_length
               : ledger->capacity - MIN(LEDGER_DESTROYED_MAX, ledger->capacity);
}

/* Keeps in mind what @sample has told, the VM running. */
void ledger_note_past(Ledger *ledger, const LedgerSample *sample);

static inline const LedgerPast *ledger_past(const Ledger *ledger, uint64_t n)
{
    return &ledger->past[n % LEDGER_PAST];
}

/* The number of the oldest one that is kept. */
static inline uint64_t ledger_past_oldest(const Ledger *ledger)
{
    return ledger->n_past - MIN(ledger->n_past, LEDGER_PAST);
}

/* Frames that a sample finds, and that the TAP is about to count. */
#define LEDGER_UNCOUNTED_MAX 2

/* The VM resumed when frame @first came, and no sample was taken since the
 * queue was full but the one after it: then the dropped ones are one run, that
 * ends no earlier; nor later than with frame @most, when its VMM had begun to
 * take frames. */
void ledger_bound_run(Ledger *ledger, uint64_t first, uint64_t most);

#endif
