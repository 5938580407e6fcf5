/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which frames did the guest receive? A state machine without I/O: its input
 * are captures, and samples of the TAP's counters and of the used index of the
 * guest's receive queue; its output are frame numbers.
 *
 * Frames toward the guest are captured, and numbered from 0, before they enter
 * the TAP's queue, which is first in, first out. Terms:
 *
 *   entered   number of the next frame to be captured
 *   taken     number of the first frame that the VMM has not taken out of the
 *             queue, derived from tx_packets
 *   dropped   frames that found the queue full (tx_dropped) and so are never
 *             taken; a *mark* tells between which two samples that was
 *   accepted  position of a frame among those that were not dropped
 *   swallowed frames that the VMM took around a stop, and the guest never
 *             receives: tx_packets minus the used index, minus the *offset*
 *             that this difference has at rest
 *   at rest   the queue is empty and nothing is between TAP and guest
 *   exact     the offset is known, so that the used index tells what the guest
 *             received
 *
 * Where something can't be known exactly, the ledger says so and errs on the
 * side of a repeat, never of a loss. docs/switchover.md has the reasoning. In
 * the source's loop only.
 */
#ifndef TF_SWITCHOVER_LEDGER_H
#define TF_SWITCHOVER_LEDGER_H

#include "netdev/meter.h"

/* Frames shipped again at the most, by the property overlap. */
#define LEDGER_OVERLAP_MAX 64
/* Offsets of which the least is used. */
#define LEDGER_USED_WINDOW 8
/* Frames of history: no VMM swallows more. */
#define LEDGER_HISTORY 128
#define LEDGER_MARKS_MAX 256
#define LEDGER_QUEUES_MAX 8
/* Past samples that are kept: a daemon that had to wait for a processor takes a
 * few samples before it is told what the VM did meanwhile. */
#define LEDGER_PAST 8
/* Frames that a stop destroys at the most: vhost-net buffers up to
 * VHOST_NET_BATCH (drivers/vhost/net.c) frames outside the queue; a stop puts
 * them back, and those that find no room are lost. */
#define LEDGER_DESTROYED_MAX 63

/* To be read in this order: @used, then the counters; then all frames captured
 * by now go to ledger_captured(), and the sample to ledger_sample(). @used and
 * @queue_used count frames (used-frames.h), modulo 65536. */
typedef struct LedgerSample {
    int64_t time_us; /* any clock that does not jump */
    bool used_known;
    bool used_stable; /* tx_packets was the same just before @used */
    uint16_t used;    /* of all queues together */
    /* Of several queues: how many are known, and the used index of each. */
    unsigned n_used;
    uint16_t queue_used[LEDGER_QUEUES_MAX];
    LinkCounters counters;
} LedgerSample;

/* @dropped of the frames [first, end) were dropped. */
typedef struct LedgerMark {
    uint64_t first, end;
    uint64_t least; /* or of [least, end): frames that came while the sample
                       before was taken, too late for its counters */
    uint64_t dropped;
    /* The queue was full at the sample before: then the first frames were
     * dropped, until there was room; else the last ones, once it was full. */
    bool was_full;
    /* A stop made room when one of the frames [room_least, room_most] came:
     * those between may have been dropped or not. */
    uint64_t room_least, room_most;
    /* Any of the frames may have been dropped: the VMM took one more of a VM
     * already stopped, or the first ones after the resume, at an unknown time.
     */
    bool vague;
    /* Made while the VM was stopped: the dropped frames are one run, that
     * starts at @begin, the earliest frame that a sample showed to be dropped.
     * (A resume that was reported late makes room for frames behind the run.)
     */
    bool stands;
    uint64_t begin;
} LedgerMark;

/* A past sample of the running VM. */
typedef struct LedgerPast {
    int64_t time_us;
    uint64_t first;   /* the first frame that the guest may have lacked */
    uint64_t dropped; /* tx_dropped */
} LedgerPast;

/* One of several queues of a TAP, and the guest's receive queue behind it. The
 * TAP's counters are for all queues together, so there is no *taken* per queue;
 * but there are the frames captured and those received by the guest. Frames of
 * a queue are numbered from 0, too: the *serial*. */
typedef struct LedgerQueue {
    uint64_t entered; /* serial of the next frame captured */
    uint64_t counted; /* the same when the counters were last read, or a little
                         before */
    uint64_t dropped; /* frames known to be dropped by this queue */
    /* entered - dropped - used, at rest. */
    uint16_t offsets[LEDGER_USED_WINDOW];
    /* Since the stop, if @queues_known. */
    uint32_t lacks;        /* the guest did not receive so many of the last */
    uint64_t stop_entered; /* @entered at the stop */
    uint64_t sampled;      /* @counted at the last sample */
    uint64_t full;         /* frames from this serial on were dropped */
    uint32_t lacks_least;  /* the least @lacks of samples since the resume */
} LedgerQueue;

typedef struct Ledger {
    Meter meter;             /* meter.entered is @entered, see above */
    uint64_t dropped_start;  /* tx_dropped at the first sample */
    uint64_t dropped_last;   /* tx_dropped at the last sample */
    uint64_t sampled;        /* entered at the last sample */
    uint64_t counted;        /* entered when its counters were read */
    uint64_t counting;       /* the same for the next sample */
    uint64_t content;        /* of the queue at the last sample, injected frames
                                included */
    uint64_t accepted;       /* of @taken, see above */
    uint64_t taken;          /* see above: accepted + dropped_before */
    uint64_t dropped_before; /* frames dropped before @taken */
    uint64_t tx_last;        /* tx_packets at the last sample */
    /* Where frames were dropped, oldest first. Marks before @taken are kept for
     * a while, since a stop goes back a little. */
    LedgerMark marks[LEDGER_MARKS_MAX];
    unsigned n_marks;
    unsigned n_passed;          /* marks before @taken */
    uint64_t dropped_forgotten; /* of marks that are no longer kept */
    /* The offset: samples of it (@used_offsets), and their times. */
    int64_t used_since_us; /* the window's first, */
    int64_t used_time_us;  /* and last sample */
    int64_t moved_us;      /* when tx_packets last changed */
    unsigned used_samples;
    /* Is the constant between counters and frame numbers known (@certain)?
     * Until a row of samples has found the queue empty, it may hold frames from
     * before the first sample. */
    uint32_t capacity;     /* the most that the queue can hold */
    uint64_t content_most; /* the greatest @content */
    int64_t rest_since_us; /* begin of the row of samples at rest, */
    unsigned rest_samples; /* and its length */
    /* At the last stop. */
    uint32_t stop_back;     /* the guest may lack so many of the last taken */
    uint64_t stop_accepted; /* accepted, tx_packets and entered then */
    uint64_t stop_tx;
    uint64_t stop_entered;
    uint64_t room_least, room_most; /* see ledger_made_room() */
    /* The last of @n_past samples before the stop, number n in slot n %
     * LEDGER_PAST: stop and resume may be reported late. */
    LedgerPast past[LEDGER_PAST];
    uint64_t n_past;
    uint64_t resume_tx; /* tx_packets and entered at the last resume */
    uint64_t resume_entered;
    /* The least @content of samples since the resume, how many samples in a row
     * have found it, and how many since then have not; @content before. */
    uint64_t content_least, content_before;
    unsigned content_least_samples, content_least_age;
    uint16_t used_offset_last; /* of the last sample with used_stable */
    uint16_t used_offsets[LEDGER_USED_WINDOW];
    bool started;     /* there was a sample */
    bool begin_known; /* the last mark's @begin, by an earlier sample */
    bool certain;     /* see above */
    bool frozen;      /* the offset is kept, from a stop to ledger_restart() */
    bool stands;      /* the VM is stopped: nobody empties the queue, */
    bool made_room;   /* except for a late frame since the last mark */
    bool stop_fixed;  /* the overlap at the stop was given by the user */
    bool stop_full;   /* the queue was full, or nearly so, at the stop */
    bool multi;       /* the TAP has several queues */
    LedgerQueue queues[LEDGER_QUEUES_MAX];
    uint64_t queues_settled; /* tx_dropped up to which drops are attributed to
                                queues */
    uint32_t queue_length;   /* of each queue */
    bool queues_known;       /* @lacks of each queue at the stop is known, */
    bool queues_told;        /* exactly; else it is an upper bound */
    bool queues_injected;    /* we have injected into some queue since */
    bool queues_late;        /* the last sample may have missed drops: frames
                                came after its counters were read */
    bool queues_unseen;      /* queues may have been full before we began */
    bool queues_vague;       /* it was not known which queue became full */
    uint64_t stop_dropped;   /* tx_dropped at the stop */
    uint64_t resume_first;   /* the first frame since the resume */
    /* The guest has received what came before a sample at rest, except frames
     * that a stop not yet reported has swallowed. So: accepted at the last such
     * sample, and at one that was long enough before it for that to be certain;
     * the time and tx_dropped of the last. */
    uint64_t rest, rest_before;
    int64_t rest_us;
    uint64_t rest_dropped;
} Ledger;

typedef enum LedgerMethod {
    LEDGER_USED_INDEX, /* exact: from guest memory */
    LEDGER_COUNTERS,   /* the counters alone, with an overlap */
} LedgerMethod;

/* The next frame captured has the number @first. @capacity: frames that the
 * queue and the kernel's buffers beside it can hold. */
void ledger_init(Ledger *ledger, uint64_t first, uint32_t capacity);

/* The TAP has several queues. */
void ledger_set_multi(Ledger *ledger);

/* @n frames were captured on their way into queue @queue (0 for a single one).
 */
void ledger_captured(Ledger *ledger, unsigned queue, uint64_t n);

/* The counters are about to be read for a sample: they will include drops of
 * all frames captured so far. */
void ledger_counted(Ledger *ledger);
/* The counters have been read, and all frames captured by now passed to
 * ledger_captured(). True if the counters should be read again: frames came
 * meanwhile, and it is not known whether @counters include drops of them. */
bool ledger_should_read_again(const Ledger *ledger,
                              const LinkCounters *counters);
/* Takes a sample. */
void ledger_sample(Ledger *ledger, const LedgerSample *sample);

/* True if another sample is needed: frames are on their way to the guest, or
 * @certain is not reached, or the used index can be read (@used_known) and the
 * offset is unknown or in doubt. */
bool ledger_wants_sample(const Ledger *ledger, bool used_known);

static inline uint64_t ledger_entered(const Ledger *ledger)
{
    return ledger->meter.entered;
}

/* How many more frames may be in the queue than ledger_pending(), as long as it
 * has not been seen empty; usually 0. */
uint64_t ledger_doubt(const Ledger *ledger);

/* Number of the oldest frame that a stop may go back to. */
uint64_t ledger_history(const Ledger *ledger);

/* Frames captured that are (possibly) in the queue. */
uint64_t ledger_pending(const Ledger *ledger);

/* Frames that the TAP has dropped, up to the last sample. */
uint64_t ledger_dropped(const Ledger *ledger);

/* The VM stopped when one of the frames [@least, @most] came; frames that the
 * VMM destroyed or took then made room in a full queue. To be called before
 * ledger_stop(). */
void ledger_made_room(Ledger *ledger, uint64_t least, uint64_t most);

/* The VM is stopped, and @sample was taken since. Returns the number of the
 * first frame that the guest did not receive, and sets @taken to it; frames
 * dropped behind it no longer count as dropped before it. Sets *@method.
 * @overlap: how many frames taken are shipped again if the used index does not
 * tell; UINT32_MAX: a default. @fixed: in any case. With several queues and
 * @queues_known the guest lacks the last @lacks of each queue instead: the
 * caller finds the first of them, for ledger_begin_at(). */
uint64_t ledger_stop(Ledger *ledger, const LedgerSample *sample,
                     uint32_t overlap, bool fixed, LedgerMethod *method);

/* The queue of a VM that was stopped before we began. */
typedef struct LedgerFound {
    LinkCounters counters; /* now */
    /* Of the frames found in the queue or captured by now, the VMM has taken
     * this many; the guest lacks the last @swallowed of these, */
    uint64_t taken, swallowed;
    uint64_t content; /* and this many are in the queue. */
    uint64_t full;    /* no frame before this one was dropped */
    bool idle; /* the VMM takes no more frames that the guest lacks: it has left
                  some in the queue for a while */
} LedgerFound;

/* Instead of the first sample and ledger_stop(). Returns the number of the
 * first frame that the guest did not receive. */
uint64_t ledger_found(Ledger *ledger, const LedgerFound *found);

/* After ledger_stop(): the first frame that the guest did not receive is
 * @number, which is not behind @taken. */
void ledger_begin_at(Ledger *ledger, uint64_t number);
/* After ledger_stop(): the VM has already resumed, the guest has received
 * frames since the stop, and what the queues held at the stop is not known.
 * Returns the first frame that it may lack. */
uint64_t ledger_stop_unheard(Ledger *ledger);

/* The stop was reported when the VM had already resumed. It stopped at @time_us
 * (the samples' clock), when frame @number came; what the queue held then, and
 * whether it was full, is not known. Returns the first frame that it may have
 * held, and sets @taken to it. */
uint64_t ledger_ran_unheard(Ledger *ledger, int64_t time_us, uint64_t number);

/* True if the offset is known, by samples at rest over some time. */
bool ledger_is_exact(const Ledger *ledger);

/* Sets *@swallowed to how many frames the VMM has taken that the guest has not
 * (yet) received; false if @sample does not tell. */
bool ledger_swallowed(const Ledger *ledger, const LedgerSample *sample,
                      uint32_t *swallowed);

/* The VM has resumed, when frame @first came or a little before; when frame
 * @most came, its VMM had begun to take frames. The last sample was taken just
 * now. */
void ledger_resume(Ledger *ledger, uint64_t first, uint64_t most);

/* After a resume: finds how many frames the stop has destroyed without counting
 * them; they only show in that the queue never seems to get empty again. False:
 * not known yet. They are the oldest that the guest did not receive. */
bool ledger_find_destroyed(const Ledger *ledger, uint32_t *destroyed);
/* So many were destroyed. */
void ledger_destroyed(Ledger *ledger, uint32_t destroyed);

/* At the resume: how many frames that the VMM took may be lost at the most,
 * where the used index does not tell. */
uint32_t ledger_lost_most(const Ledger *ledger);

/* Sets [*@first, *@end) to the @n frames, oldest first, that the VMM took
 * around the stop and the guest never receives; and a few more if it is not
 * certain which frames among them were dropped. */
void ledger_lost(const Ledger *ledger, uint32_t n, uint64_t *first,
                 uint64_t *end);

/* The VM runs, and it is known that the guest never receives @lost of the
 * frames that the VMM took. The offset follows from that, or, if it was not
 * known, is sampled anew. */
void ledger_restart(Ledger *ledger, uint32_t lost);

/* The offset is void: the used index is another queue's, or frames were not
 * counted. */
void ledger_new_index(Ledger *ledger);

/* Where a frame is in the counters of the TAP. */
typedef struct LedgerPlace {
    uint64_t place; /* see shortfall.h */
    uint64_t taken; /* tx_packets when the frame is, or was, the next to be
                       taken */
    bool full;      /* the stop may have destroyed frames from this one on */
} LedgerPlace;

/* The VM is stopped: the place of frame @number. False: it is not known. */
bool ledger_place(const Ledger *ledger, uint64_t number, LedgerPlace *place);

/* A stop will not go back before @taken. */
void ledger_forget_passed(Ledger *ledger);

/* We have injected @accepted frames; @refused more found the queue full, which
 * the TAP has counted as dropped. */
void ledger_injected(Ledger *ledger, uint64_t accepted, uint64_t refused);

/* Was frame @number dropped; or, with several queues, may it have been? Exact
 * for a stopped VM, and where at most one frame came between samples. */
bool ledger_was_dropped(const Ledger *ledger, uint64_t number);
/* With several queues, if @queues_known: may frame @number, which is frame
 * @serial of @queue, have been dropped? */
bool ledger_queue_dropped(const Ledger *ledger, unsigned queue, uint64_t serial,
                          uint64_t number);
/* Likewise: may it be one of the @n oldest frames of its queue that the guest
 * lacked at the stop and never receives? */
bool ledger_queue_lost(const Ledger *ledger, unsigned queue, uint64_t serial,
                       uint32_t n);
/* True if it came between two samples of which the second counted drops. */
bool ledger_may_be_dropped(const Ledger *ledger, uint64_t number);
static inline bool ledger_was_queued(const Ledger *ledger, uint64_t number)
{
    return !ledger_was_dropped(ledger, number);
}

#endif
