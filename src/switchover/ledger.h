/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which frames did the guest get? A state machine without I/O: it is fed
 * with captures, with samples of what the TAP counts and of the used index of
 * the guest's receive queue, and answers with frame numbers.
 *
 * Frames toward the guest are captured, and numbered from 0, before they
 * enter the TAP's queue; the queue is first in, first out. So:
 *
 *   taken     number of the first frame that the VMM has not taken out, from
 *             tx_packets; a frame that found the queue full (tx_dropped) is
 *             never taken, and the ledger remembers between which two samples
 *             that was
 *   swallowed around a stop the VMM takes a few frames that the guest never
 *             sees: the difference between tx_packets and the used index,
 *             less what it is in quiet times
 *
 * Where something can't be known exactly the ledger says so and errs on the
 * side of a repeat, never of a loss. docs/switchover.md has the reasoning.
 */
#ifndef TF_SWITCHOVER_LEDGER_H
#define TF_SWITCHOVER_LEDGER_H

#include "netdev/meter.h"

#define LEDGER_OVERLAP_MAX 64
#define LEDGER_USED_WINDOW 8
/* More is never swallowed; so far back history is kept. */
#define LEDGER_HISTORY 128
#define LEDGER_MARKS_MAX 256
#define LEDGER_QUEUES_MAX 8
/* A daemon that had to wait for a processor takes a few samples before it hears
 * what the VM did meanwhile. */
#define LEDGER_PAST 8
/* What vhost-net holds apart of the queue (VHOST_NET_BATCH, drivers/vhost/
 * net.c), less one: a stop puts it back, and destroys what finds no room. */
#define LEDGER_DESTROYED_MAX 63

/* To be taken in this order: @used, then the counters, then everything that
 * has been captured by now goes to ledger_captured(). What @used and
 * @queue_used count is frames (used-frames.h), modulo 65536. */
typedef struct LedgerSample {
    int64_t time_us; /* any clock that does not jump */
    bool used_known;
    bool used_stable; /* tx_packets was the same just before @used */
    uint16_t used;    /* of all queues together */
    /* With several: how many are known, and what each of them says. */
    unsigned n_used;
    uint16_t queue_used[LEDGER_QUEUES_MAX];
    LinkCounters counters;
} LedgerSample;

/* @dropped of the frames [first, end) found the queue full. */
typedef struct LedgerMark {
    uint64_t first, end;
    uint64_t least; /* ... or of [least, end), if frames came while the sample
                       before was taken, too late for its counters */
    uint64_t dropped;
    /* The queue was full before: then the first of them were dropped, until
     * there was room; else the last of them, once there was none. */
    bool was_full;
    /* ... or until a stop made some, when one of these came: what came between
     * them may have been dropped or not. */
    uint64_t room_least, room_most;
    /* Any of them may have been: the VMM took one more when the VM stood
     * already, or the first ones when it ran again, and nothing tells when that
     * was. */
    bool vague;
    /* Made while the VM stood still: the dropped ones are one run. It begins
     * with the earliest frame that a sample showed to have found no room: a VM
     * that has resumed unheard makes room for more, behind that run. */
    bool stands;
    uint64_t begin;
} LedgerMark;

/* What a sample found while the VM ran. */
typedef struct LedgerPast {
    int64_t time_us;
    uint64_t first;   /* the first frame that the guest may have lacked */
    uint64_t dropped; /* tx_dropped */
} LedgerPast;

/* One of a TAP's several queues, and the guest's receive queue behind it. The
 * TAP counts for all of them together, so there is no taken; but what was
 * captured is known of each, and what the guest got. */
typedef struct LedgerQueue {
    uint64_t entered; /* captured on the way into it */
    uint64_t counted; /* ... when the counters were read, or a little before */
    uint64_t dropped; /* of those, that are known to have found it full */
    /* entered - dropped - used, when nothing is under way. */
    uint16_t offsets[LEDGER_USED_WINDOW];
    /* Since the stop, where that is known (@queues_known). */
    uint32_t lacks;        /* so many of the last did the guest not get then */
    uint64_t stop_entered; /* as it was then */
    uint64_t sampled;      /* @counted at the last sample */
    uint64_t full;         /* from this frame of it on none found room */
    uint32_t lacks_least;  /* the fewest that it lacked since the resume */
} LedgerQueue;

typedef struct Ledger {
    Meter meter;             /* its entered is the number of the next frame */
    uint64_t dropped_start;  /* tx_dropped at the first sample */
    uint64_t dropped_last;   /* at the last */
    uint64_t sampled;        /* entered at the last sample, */
    uint64_t counted;        /* and when its counters were read */
    uint64_t counting;       /* the same of the next one */
    uint64_t content;        /* of the queue then, our injections included */
    uint64_t accepted;       /* frames taken that were not dropped: the position
                                in the order of those that entered the queue */
    uint64_t taken;          /* see above: accepted + dropped_before */
    uint64_t dropped_before; /* frames dropped by the TAP before @taken */
    uint64_t tx_last;        /* tx_packets at the last sample */
    /* Where frames were dropped, oldest first: marks that lie before @taken
     * are kept for a while, since a stop goes back a little. */
    LedgerMark marks[LEDGER_MARKS_MAX];
    unsigned n_marks;
    unsigned n_passed;          /* those that lie before @taken */
    uint64_t dropped_forgotten; /* of marks that are no longer kept */
    /* Used index: what tx_packets - used is when nothing is under way. */
    int64_t used_since_us; /* what the window spans: from */
    int64_t used_time_us;  /* to the last one in it */
    int64_t moved_us;      /* when tx_packets last moved */
    unsigned used_samples;
    /* Is the constant between counters and numbers known (@certain)? While no
     * row of samples found the queue empty, it may have held frames before. */
    uint32_t capacity;     /* what can be in the queue at the most */
    uint64_t content_most; /* what seemed to be */
    int64_t rest_since_us; /* the row began */
    unsigned rest_samples; /* in it */
    /* The stop. */
    uint32_t stop_back;     /* so many of the last taken the guest may lack */
    uint64_t stop_accepted; /* as they were then */
    uint64_t stop_tx;
    uint64_t stop_entered;
    uint64_t room_least, room_most; /* see ledger_made_room() */
    /* The last of @n_past samples before it, number n in slot n % LEDGER_PAST:
     * the word of it, and of the resume, may come when they are past. */
    LedgerPast past[LEDGER_PAST];
    uint64_t n_past;
    uint64_t resume_tx; /* as they were at the resume */
    uint64_t resume_entered;
    /* The fewest that the queue seemed to hold since the VM resumed, and how
     * many samples found it so, and how many since the last of them did not. */
    uint64_t content_least, content_before;
    unsigned content_least_samples, content_least_age;
    uint16_t used_offset_last; /* of the last sample that was stable */
    uint16_t used_offsets[LEDGER_USED_WINDOW];
    bool started;
    bool begin_known; /* the last mark's, by a sample before this one */
    bool certain;
    bool frozen;     /* the present offset is kept until ledger_restart() */
    bool stands;     /* the VM stands still: nobody empties the queue */
    bool made_room;  /* ... but a late frame was taken since the last mark */
    bool stop_fixed; /* it was given how much is shipped again */
    bool stop_full;  /* the queue was, or nearly so */
    bool multi;      /* the TAP has several queues */
    LedgerQueue queues[LEDGER_QUEUES_MAX];
    uint64_t queues_settled; /* tx_dropped up to which it is known of which */
    uint32_t queue_length;   /* what each of them holds */
    bool queues_known;       /* what the guest lacked of each at the stop, */
    bool queues_told;        /* exactly; else that is the most */
    bool queues_injected;    /* we have put frames into some since */
    bool queues_late;        /* the last sample found frames that may be full,
                                and not counted */
    bool queues_unseen;      /* they may have been full before we began */
    bool queues_vague;       /* of several it was not known which became full */
    uint64_t stop_dropped;   /* tx_dropped then */
    uint64_t resume_first;   /* the first frame that came when it ran again */
    /* What was seen to be nowhere under way the guest has got, but for what a
     * stop may have swallowed already: accepted at such a sample, and at one
     * before it by so long that this holds for certain. */
    uint64_t rest, rest_before;
    int64_t rest_us;
    uint64_t rest_dropped; /* tx_dropped at the last such sample */
} Ledger;

typedef enum LedgerMethod {
    LEDGER_USED_INDEX, /* exact: from guest memory */
    LEDGER_COUNTERS,   /* the counters alone, with an overlap */
} LedgerMethod;

/* The next frame captured has the number @first. The queue, and what the
 * kernel holds beside it, take up to @capacity frames. */
void ledger_init(Ledger *ledger, uint64_t first, uint32_t capacity);

/* From now on, what is told is that of a TAP with several queues. */
void ledger_set_multi(Ledger *ledger);

/* @n frames were captured on the way into queue @queue (0 if there is but one).
 */
void ledger_captured(Ledger *ledger, unsigned queue, uint64_t n);

/* The counters are about to be read for a sample: which of the frames captured
 * so far were dropped, they tell. */
void ledger_counted(Ledger *ledger);
/* They have been read, and what was captured by now was told. Are they better
 * read again? Frames came meanwhile, and some may have found the queue full: of
 * those nothing tells whether @counters have them. */
bool ledger_should_read_again(const Ledger *ledger,
                              const LinkCounters *counters);
void ledger_sample(Ledger *ledger, const LedgerSample *sample);

/* True if another sample would tell more: frames are under way, or it has to
 * be seen that none are, or the used index can be read (@used_known) and is not
 * calibrated, or in doubt. */
bool ledger_wants_sample(const Ledger *ledger, bool used_known);

static inline uint64_t ledger_entered(const Ledger *ledger)
{
    return ledger->meter.entered;
}

/* How many more frames may sit in the queue than ledger_pending() says, since
 * it has not been seen empty: 0 in most cases. */
uint64_t ledger_doubt(const Ledger *ledger);

/* Number of the oldest frame that a stop may go back to. */
uint64_t ledger_history(const Ledger *ledger);

/* Frames that certainly or possibly sit in the queue. */
uint64_t ledger_pending(const Ledger *ledger);

/* Frames that the TAP dropped while the guest ran. */
uint64_t ledger_dropped(const Ledger *ledger);

/* The VM stops when one of the frames [@least, @most] comes, and what it
 * destroys or takes then makes room in a full queue. To be told before
 * ledger_stop(), if it is known. */
void ledger_made_room(Ledger *ledger, uint64_t least, uint64_t most);

/* The VM stands still, @sample was taken since: returns the number of the
 * first frame that the guest did not get. @overlap is what is shipped again
 * if the used index does not tell, or UINT32_MAX for a good default; @fixed
 * uses it in any case. @taken is that number now; what found the queue full
 * behind it no longer counts as dropped before it.
 * With several queues and @queues_known it is of each queue the last @lacks
 * that the guest did not get: see ledger_begin_at(). */
uint64_t ledger_stop(Ledger *ledger, const LedgerSample *sample,
                     uint32_t overlap, bool fixed, LedgerMethod *method);

/* What a TAP's queue holds of a VM that stands still since before we began. */
typedef struct LedgerFound {
    LinkCounters counters; /* as they are now */
    /* Of all that was captured up to now, or found there by us, the VMM has
     * taken the first ones, of which the guest lacks the last @swallowed; */
    uint64_t taken, swallowed;
    uint64_t content; /* so many are in the queue */
    uint64_t full;    /* no frame before this one found it full */
    bool idle; /* the VMM takes none any more that the guest lacks: it has left
                  some there for a while */
} LedgerFound;

/* In the place of the first sample, and of ledger_stop(). Returns the number of
 * the first frame that the guest did not get. */
uint64_t ledger_found(Ledger *ledger, const LedgerFound *found);

/* Frame @number, not behind @taken, is the first that the guest did not get: of
 * one of several queues, or because the VM may have stood since then. */
void ledger_begin_at(Ledger *ledger, uint64_t number);
/* ... or the guest got what came after the stop: it runs again already, and
 * nothing tells what the queues held at the stop. Returns where to begin. */
uint64_t ledger_stop_unheard(Ledger *ledger);

/* The word of the stop came when the VM ran again. It stopped at @time_us (of
 * the samples' clock), when frame @number came: nothing tells what the queue
 * held then, nor whether it was full. Goes back to the first frame that it can
 * have held, and returns that. */
uint64_t ledger_ran_unheard(Ledger *ledger, int64_t time_us, uint64_t number);

/* Samples that span a moment agree on what the offset of the used index is
 * when nothing is under way: it tells what the guest got. */
bool ledger_is_exact(const Ledger *ledger);

/* How many frames the VMM has taken that the guest has not (yet) got; false
 * if that can't be told from @sample, or no longer. */
bool ledger_swallowed(const Ledger *ledger, const LedgerSample *sample,
                      uint32_t *swallowed);

/* The VM runs again, and did so when frame @first came, or a little before;
 * when frame @most came its VMM had begun to take frames. The last sample was
 * taken just now. */
void ledger_resume(Ledger *ledger, uint64_t first, uint64_t most);

/* The VM has resumed: how many frames did the stop destroy, of which nothing
 * tells but that the queue never gets empty any more? False: not known yet.
 * They are the oldest that the guest did not get; their number is to be told
 * to ledger_destroyed(). */
bool ledger_find_destroyed(const Ledger *ledger, uint32_t *destroyed);
void ledger_destroyed(Ledger *ledger, uint32_t destroyed);

/* How many that can be where the used index does not tell; to be asked at the
 * resume. */
uint32_t ledger_lost_most(const Ledger *ledger);

/* Frames [*@first, *@end) are those that the guest did not get of what the VMM
 * took, and lost, around the stop: @n of them, the oldest first. A few more
 * where it is not certain which of their neighbours found the queue full. */
void ledger_lost(const Ledger *ledger, uint32_t n, uint64_t *first,
                 uint64_t *end);

/* The VM runs, and what it had swallowed is settled: @lost of the frames that
 * it took the guest never gets. What was known of the used index is known on,
 * or, if it did not tell that, to be learned anew. */
void ledger_restart(Ledger *ledger, uint32_t lost);

/* What the used index counts begins anew: it is another queue's, or some frames
 * were not counted. */
void ledger_new_index(Ledger *ledger);

/* Where a frame stands in what the TAP has counted. */
typedef struct LedgerPlace {
    uint64_t place; /* so many it had counted, or held, when the frame came */
    uint64_t taken; /* tx_packets when the frame is, or was, the next to be
                       taken */
    bool full;      /* the stop may have destroyed some from this one on */
} LedgerPlace;

/* The VM stands still: the place of frame @number. False: it is not known. */
bool ledger_place(const Ledger *ledger, uint64_t number, LedgerPlace *place);

/* Everything before @taken is settled: a stop will not go back to it. */
void ledger_forget_passed(Ledger *ledger);

/* @accepted frames were put into the TAP by us; @refused more found its queue
 * full, each of which it has counted as dropped. */
void ledger_injected(Ledger *ledger, uint64_t accepted, uint64_t refused);

/* Was frame @number dropped by the full queue, or may one of several queues
 * have dropped it? Exact for a queue that nobody
 * empties (a stopped VM), and where no two frames came between samples. */
bool ledger_was_dropped(const Ledger *ledger, uint64_t number);
/* With several queues, if @queues_known: was frame @number dropped, or may it
 * have been, frame @serial of those that were captured in @queue? */
bool ledger_queue_dropped(const Ledger *ledger, unsigned queue, uint64_t serial,
                          uint64_t number);
/* ... and may it be one of the @n frames, the oldest of their queues, that the
 * guest lacked at the stop and never gets? */
bool ledger_queue_lost(const Ledger *ledger, unsigned queue, uint64_t serial,
                       uint32_t n);
/* It came between two samples of which the second counted such frames. */
bool ledger_may_be_dropped(const Ledger *ledger, uint64_t number);
static inline bool ledger_was_queued(const Ledger *ledger, uint64_t number)
{
    return !ledger_was_dropped(ledger, number);
}

#endif
