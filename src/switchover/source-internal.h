/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the source share: source.c (its life, samples, what the VM
 * does), source-frames.c (frames in and out), source-account.c (the ledger's
 * counters), source-return.c (giving back when the VM resumes here),
 * source-found.c (beginning beside a VM that stands), source-delivered.c and
 * source-place.c (what the peer is told of it all).
 */
#ifndef TF_SWITCHOVER_SOURCE_INTERNAL_H
#define TF_SWITCHOVER_SOURCE_INTERNAL_H

#include "base/loop.h"
#include "netdev/injector.h"
#include "switchover/delivered.h"
#include "switchover/keeper.h"
#include "switchover/ledger.h"
#include "switchover/source.h"
#include "switchover/used-frames.h"

/* How soon a sample follows a capture. */
#define SOURCE_SAMPLE_US 1000
/* ... and at the soonest. */
#define SOURCE_SAMPLE_LEAST_US 100

/* PacketRecord.mark */
enum {
    RECORD_SHIPPED = 1 << 0,
    RECORD_RETURNED = 1 << 1,  /* injected by us, found the queue full */
    RECORD_SWALLOWED = 1 << 2, /* injected by us, swallowed by the VMM */
    RECORD_COUNTED = 1 << 3,   /* no bytes, counted as dropped already */
    RECORD_NO_ROOM = 1 << 4,   /* no bytes: there was no memory left for them */
    RECORD_GIVEN = 1 << 5,     /* counted as delivered or reinjected */
    RECORD_INJECTED = 1 << 6,  /* by us, before the VM stopped again */
    RECORD_HAD = 1 << 7,       /* by the guest at the stop: another queue's */
};

/* What lay in the TAP's queue when we began. */
typedef struct SourceFound {
    bool known;
    uint64_t count; /* records, */
    uint64_t parts; /* and so many frames on the wire, the first there */
    uint64_t again; /* the TAP's count grew by that as it was put back */
    uint64_t taken; /* tx_packets when the first of them was the next */
} SourceFound;

/* Where frames stand in what the TAP has counted (shortfall.h). */
typedef struct SourcePlace {
    bool known;
    uint64_t number; /* of the first one captured that was to be shipped, */
    LedgerPlace at;  /* its place, */
    uint64_t next;   /* and its number on the wire */
    uint64_t shipped, sent; /* since then: records, and frames on the wire */
    unsigned pieces;        /* on the wire, of the next record */
} SourcePlace;

struct Source {
    SourceConfig config;
    FrameWriter *writer;
    SourceLink *link;
    /* One for each queue of the TAP; none: not armed. The last one has what
     * comes in any further. */
    Capture *captures[LEDGER_QUEUES_MAX];
    Injector *injector; /* gives frames back; made when needed */
    Keeper *keeper;     /* or NULL */
    /* What reached the guest, where the VM ran when it began to be remembered;
     * or NULL. */
    Delivered *delivered;
    Vm *vm;
    VmNic *nic;
    UsedFrames used[LEDGER_QUEUES_MAX]; /* of the guest's receive queues */
    unsigned n_used; /* of them whose used index was known at the last sample */
    uint64_t pace_us;   /* how soon another sample is due while they move */
    unsigned nic_epoch; /* of the used indices that the ledger knows */
    unsigned n_captures;
    VmListener vm_listener;
    TapListener tap_listener;
    LoopTimer sampler;
    uint64_t sample_us;
    bool on;
    bool ran;  /* the VM was seen to, or what it left was looked for */
    bool keep; /* what was shipped: the VM may still resume here */
    Ledger ledger;
    LedgerSample sample; /* the last */
    LinkCounters began;  /* the TAP's, when we began to look */
    int64_t began_us;    /* CLOCK_REALTIME of that */
    SourceFound found;   /* by source_take_in(), at the last stop */
    SourcePlace place;
    int64_t stop_us;        /* CLOCK_REALTIME: when the VM stopped, */
    int64_t blind_until_us; /* see source_is_blind() */
    int64_t stop_heard_us;  /* and when the last sample after it was taken */
    uint64_t stop_number;   /* first frame shipped at the last stop */
    uint64_t end_number;    /* first frame after the resume */
    uint64_t seen_number;   /* up to here all dropped ones were given back */
    int64_t return_us;      /* CLOCK_MONOTONIC: when it resumed here */
    unsigned settling; /* samples left until swallowed frames count as lost */
    uint32_t settle_least; /* the fewest swallowed that a sample showed */
    uint64_t lost_first, lost_end; /* of an earlier stop, not yet settled; */
    uint32_t lost;                 /* no more than that of each queue */
    /* If the VM ran again before we heard that it had stopped: the first frame
     * since the stop, and since the resume. */
    bool unheard;
    uint64_t unheard_first, unheard_end;
    PacketCursor accounted; /* up to here frames are delivered or dropped */
    uint64_t folded;        /* ledger.dropped_before, accounted */
    uint64_t returned;      /* of these, given back by us: passed already */
    uint64_t tap_full_at_stop;
    bool catching_up; /* the queue was full at the resume, and is not empty */
    Account account;
    SwitchoverRecord record;
};

static inline const PacketQueue *source_queue(const Source *self)
{
    return frame_writer_queue(self->writer);
}

/* source.c */
void source_phase(Source *self, SwitchoverPhase phase);
/* Takes a sample soon. */
void source_schedule(Source *self);
/* Takes one now; false while there is nothing to be sampled. */
bool source_take_sample(Source *self);
void source_pause(Source *self, bool paused);
/* Takes in what was captured by now. */
void source_drain(Source *self);
/* Starts what is known of the guest anew. */
void source_rearm(Source *self);
/* What is known of it begins with the next frame. */
void source_reset_ledger(Source *self);

/* source-found.c */
/* The VM stands still, and may have done so since before we began: takes in
 * what its TAP's queue holds of that time, in front of what was captured since.
 * True if it is known now what the queue holds, and where to begin: *@number.
 */
bool source_take_in(Source *self, uint64_t *number);

/* source-frames.c */
extern const CaptureHandlers source_capture_handlers;
extern const FrameWriterHandlers source_writer_handlers;

/* Removes what was shipped and is needed no more. */
void source_release(Source *self);

/* source-delivered.c */
/* What reaches the guest is remembered, from the next frame on. */
void source_begin_delivered(Source *self);
void source_end_delivered(Source *self);
/* These frames were captured just now, while the VM runs. */
void source_note_delivered(Source *self, const PacketBatch *batch);
/* The VM stopped: what it did not get is settled. */
void source_settle_delivered(Source *self);
/* SourceLinkWord: all that the peer is told of the stop. */
void source_say_stop(void *opaque, GByteArray *records);

/* source-place.c */
/* The VM stands still: frame @number is the first that we have captured of what
 * its guest lacks, and is shipped behind what was found. */
void source_set_place(Source *self, uint64_t number);
/* The frame at the writer's cursor was shipped. */
void source_count_placed(Source *self);
/* SourceLinkWord */
void source_say_place(void *opaque, GByteArray *records);
/* The link makes @n of the next frame: says so, and the place again. */
void source_place_cut(Source *self, unsigned n);

/* source-account.c */
/* Brings the counters up to what the ledger knows. */
void source_advance(Source *self);
/* Removes records that neither the ledger nor the accounting needs. */
void source_trim(Source *self);
/* Accounts all that is remembered, and forgets it. */
void source_forget(Source *self);
/* The guest gets, or got, @record; and takes that back. */
void source_count_given(Source *self, PacketRecord *record);
void source_uncount_given(Source *self, PacketRecord *record);
/* Takes back the accounting of frames that the guest did not get after all,
 * from @number on. */
void source_unaccount(Source *self, uint64_t number);

/* source-return.c */
/* Makes the injector, if there is none; false: it can't be made. */
bool source_open_injector(Source *self);
/* The first frame that came no earlier than @time_us: its number, if they are
 * in the order of time. */
uint64_t source_first_since(const Source *self, int64_t time_us);
/* The VM stopped again before it got back everything: takes that back; all
 * from the earlier stop on counts as undelivered. */
void source_abandon_return(Source *self);
/* Keeps in mind what an earlier stop may have lost, if that is not settled. */
void source_carry_lost(Source *self);
void source_resume(Source *self, int64_t time_us);
/* One more sample was taken in the phase returning. */
void source_settle(Source *self);
/* All that a stop may have destroyed was given back before it was known how
 * many those were; is it known now? */
void source_settle_destroyed(Source *self);
/* Of each queue, how many frames were captured in it before the oldest record:
 * the serial of its first. */
void source_serials(const Source *self, uint64_t *serials);
/* The VM has stopped, and of several queues it is known how many the guest
 * lacks of each: returns the number of the first of them all, and marks those
 * behind it that the guest has, none of which came since @end_us. */
uint64_t source_begin(Source *self, int64_t end_us);
/* What waits to be given back, and was not shipped. */
Counter source_returning(const Source *self);

#endif
