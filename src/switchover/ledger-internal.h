/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the ledger share: ledger.c (numbers, samples, the used
 * index), ledger-marks.c (which frames found the queue full), ledger-queues.c
 * (several queues), ledger-stop.c (from a stop until it is settled).
 */
#ifndef TF_SWITCHOVER_LEDGER_INTERNAL_H
#define TF_SWITCHOVER_LEDGER_INTERNAL_H

#include "switchover/ledger.h"

/* Frames that a VMM takes at the most after it has reported the stop. */
#define LEDGER_TAKEN_LATE_MAX 2

/* True if the VMM of a stopped VM has taken such a late frame since the last
 * sample; @tx is tx_packets now. That makes room for up to 16 frames: the
 * kernel frees its slots 16 at a time (ptr_ring.h), including those of frames
 * that the stop has destroyed. */
bool ledger_takes_late(Ledger *ledger, uint64_t tx);
/* @dropped of the frames since the last sample were dropped; @took_late: see
 * above. */
void ledger_mark(Ledger *ledger, uint64_t dropped, bool took_late);

/* @dropped frames were dropped before the first sample, none of them before
 * frame @full. */
void ledger_mark_found(Ledger *ledger, uint64_t dropped, uint64_t full);

/* Sets @taken to the frame at position @accepted, and what depends on it. Of a
 * mark the last frames count as dropped, so that @taken is rather too low than
 * too high. */
void ledger_locate(Ledger *ledger, uint64_t accepted);

/* The least number that the frame at position @accepted can have, or the @most.
 */
uint64_t ledger_number(const Ledger *ledger, uint64_t accepted, bool most);

/* The least of a window of offsets: a device that publishes the used index late
 * can only make an offset larger. */
uint16_t ledger_least_offset(const Ledger *ledger, const uint16_t *offsets);

/* @sample was taken at rest: attributes drops to queues. False: an offset can't
 * be derived from it. */
bool ledger_queues_at_rest(Ledger *ledger, const LedgerSample *sample);
/* Puts the offsets by @sample into @slot of each queue's window. */
void ledger_queues_note(Ledger *ledger, const LedgerSample *sample,
                        unsigned slot);
/* The VM is stopped: sets @lacks of each queue. False: as upper bounds, which
 * include @overlap frames; @fixed: the overlap is given by the user. */
bool ledger_queues_stop(Ledger *ledger, const LedgerSample *sample, bool fixed,
                        uint32_t overlap);
/* After each sample. */
void ledger_queues_sampled(Ledger *ledger, const LedgerSample *sample);
/* Is one of the queues full, or nearly so? */
bool ledger_queues_full(const Ledger *ledger);

/* A full queue may hold fewer frames than its length: the kernel frees its
 * slots 16 at a time (ptr_ring.h). */
#define LEDGER_SLOTS_LATE_MAX 32

static inline uint32_t ledger_least_room(uint32_t length)
{
    return length - MIN(LEDGER_SLOTS_LATE_MAX, length / 2);
}

/* The length of the queue, or of each of several. */
static inline uint32_t ledger_length(const Ledger *ledger)
{
    return ledger->multi
               ? ledger->queue_length
               : ledger->capacity - MIN(LEDGER_DESTROYED_MAX, ledger->capacity);
}

/* Adds @sample, of the running VM, to @past. */
void ledger_note_past(Ledger *ledger, const LedgerSample *sample);

static inline const LedgerPast *ledger_past(const Ledger *ledger, uint64_t n)
{
    return &ledger->past[n % LEDGER_PAST];
}

/* The number of the oldest past sample that is kept. */
static inline uint64_t ledger_past_oldest(const Ledger *ledger)
{
    return ledger->n_past - MIN(ledger->n_past, LEDGER_PAST);
}

/* Frames at the most that were captured, and are dropped only after the
 * counters were read. */
#define LEDGER_UNCOUNTED_MAX 2

/* The VM resumed when frame @first came, and there was only one sample since
 * the queue was full, the one after the resume: then the dropped frames are one
 * run, which ends no earlier than @first, and no later than @most, when the VMM
 * had begun to take frames. */
void ledger_bound_run(Ledger *ledger, uint64_t first, uint64_t most);

#endif
