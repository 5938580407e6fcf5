/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the source share: source.c (set-up, samples, events of the
 * VM), source-frames.c (frames in and out), source-account.c (counters),
 * source-return.c (giving frames back when the VM resumes here), source-found.c
 * and source-rebuild.c (starting beside a VM that is stopped already), source-
 * delivered.c and source-place.c (records for the destination).
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

/* Time from a capture to the next sample, and the least of it, in us. */
#define SOURCE_SAMPLE_US 1000
#define SOURCE_SAMPLE_LEAST_US 100

/* PacketRecord.mark */
enum {
    RECORD_SHIPPED = 1 << 0,
    RECORD_RETURNED = 1 << 1,  /* injected by us, as it was dropped before */
    RECORD_SWALLOWED = 1 << 2, /* injected by us, as it was swallowed before */
    RECORD_COUNTED = 1 << 3,   /* no bytes, counted as dropped already */
    RECORD_NO_ROOM = 1 << 4,   /* no bytes: send-queue-size was reached */
    RECORD_GIVEN = 1 << 5,     /* counted as delivered or reinjected */
    RECORD_INJECTED = 1 << 6,  /* by us, before the VM stopped again */
    RECORD_HAD = 1 << 7,       /* the guest had received it at the stop, unlike
                                  earlier frames of other queues */
};

/* What was found in the TAP's queue when we began. */
typedef struct SourceFound {
    bool known;
    uint64_t count; /* records, the first of the queue */
    uint64_t parts; /* frames on the wire that they become */
    /* How many of these there are up to the last one of each queue. */
    uint64_t ends[LEDGER_QUEUES_MAX];
    unsigned n_ends;
    uint64_t again; /* growth of the TAP's counters by putting them back */
    uint64_t taken; /* tx_packets when the first was the next to be taken */
} SourceFound;

/* The place (shortfall.h) of the first frame captured that was to be shipped.
 */
typedef struct SourcePlace {
    bool known;
    uint64_t number; /* of its record */
    LedgerPlace at;
    uint64_t next;    /* its number on the wire */
    uint64_t shipped; /* records since then */
} SourcePlace;

struct Source {
    SourceConfig config;
    FrameWriter *writer;
    SourceLink *link;
    /* One for each queue of the TAP, the last one also for all further queues;
     * none: not armed. */
    Capture *captures[LEDGER_QUEUES_MAX];
    Injector *injector;   /* gives frames back; created when needed */
    Keeper *keeper;       /* or NULL */
    Delivered *delivered; /* NULL if the VM was not running when we began */
    Vm *vm;
    VmNic *nic;
    UsedFrames used[LEDGER_QUEUES_MAX]; /* of the guest's receive queues */
    unsigned n_used;                    /* of these, known at the last sample */
    uint64_t pace_us;   /* time to the next sample while frames move */
    unsigned nic_epoch; /* VmNic.epoch of the ledger's offset */
    unsigned n_captures;
    VmListener vm_listener;
    TapListener tap_listener;
    LoopTimer sampler;
    uint64_t sample_us;
    bool on;
    bool ran;  /* the VM was seen running, or source_take_in() was called */
    bool keep; /* frames that were shipped: the VM may still resume here */
    Ledger ledger;
    LedgerSample sample; /* the last */
    LinkCounters began;  /* the TAP's counters when we began, */
    int64_t began_us;    /* at this time (CLOCK_REALTIME) */
    SourceFound found;   /* by source_take_in(), at the last stop */
    SourcePlace place;
    int64_t stop_us;        /* CLOCK_REALTIME of the last stop */
    int64_t blind_until_us; /* see source_is_blind() */
    int64_t stop_heard_us;  /* CLOCK_REALTIME of the sample after the stop */
    uint64_t stop_number;   /* first frame shipped at the last stop */
    uint64_t end_number;    /* first frame after the resume */
    uint64_t seen_number;   /* all dropped frames before it were given back */
    int64_t return_us;      /* CLOCK_MONOTONIC of the last resume here */
    unsigned settling; /* samples left until swallowed frames count as lost */
    uint32_t settle_least; /* the least number swallowed of these samples */
    uint64_t lost_first, lost_end; /* by an earlier stop, not yet settled, */
    uint32_t lost;                 /* at most so many of each queue */
    /* The VM had resumed before its stop was reported: the first frame since
     * the stop, and since the resume. */
    bool unheard;
    uint64_t unheard_first, unheard_end;
    PacketCursor
        accounted;     /* records before it count as delivered or dropped */
    uint64_t folded;   /* of ledger.dropped_before, accounted */
    uint64_t returned; /* of these, given back by us */
    uint64_t tap_full_at_stop; /* dropped-tap-full then */
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
/* Schedules the next sample. */
void source_schedule(Source *self);
/* Takes a sample now; false if the TAP's counters can't be read. */
bool source_take_sample(Source *self);
/* Pauses, or goes on with, all captures. */
void source_pause(Source *self, bool paused);
/* Processes what was captured by now. */
void source_drain(Source *self);
/* In SWITCHOVER_ARMED: forgets all frames and starts the ledger anew. */
void source_rearm(Source *self);
/* Starts the ledger anew with the next frame. */
void source_reset_ledger(Source *self);

/* source-found.c */
/* The VM is stopped, perhaps since before we began: puts the frames that its
 * TAP's queue holds from that time in front of those captured since. True if
 * the content of the queue is known now; then *@number is the first frame to
 * ship.
 */
bool source_take_in(Source *self, uint64_t *number);

/* source-rebuild.c */
/* Numbers all records anew: first those of @n queues of the TAP, of each the
 * first @found[i] frames of @drained[i], as if captured when we began; then all
 * that were captured. Sets @found.parts, ends and n_ends. */
void source_rebuild(Source *self, const PacketQueue *drained,
                    const uint64_t *found, unsigned n);

/* source-frames.c */
extern const CaptureHandlers source_capture_handlers;
extern const FrameWriterHandlers source_writer_handlers;

/* Trims the records that were shipped and are no longer needed. */
void source_release(Source *self);

/* source-delivered.c */
/* Starts to record what reaches the guest, with the next frame; stops that. */
void source_begin_delivered(Source *self);
void source_end_delivered(Source *self);
/* Frames were captured while the VM runs. */
void source_note_delivered(Source *self, const PacketBatch *batch);
/* The VM stopped: removes the frames that it did not receive. */
void source_settle_delivered(Source *self);
/* SourceLinkRecords: all records about the stop. */
void source_say_stop(void *opaque, GByteArray *records);

/* source-place.c */
/* The VM is stopped: frame @number is the first captured frame that the guest
 * lacks; it is shipped behind what was found. */
void source_set_place(Source *self, uint64_t number);
/* The frame at the writer's cursor was shipped. */
void source_count_placed(Source *self);
/* SourceLinkRecords: LINK_PLACE. */
void source_say_place(void *opaque, GByteArray *records);
/* The next @n frames on the wire are segments of one: sends LINK_PIECES, if the
 * place is known. */
void source_say_cut(Source *self, unsigned n);

/* source-account.c */
/* Updates the counters from the ledger. */
void source_advance(Source *self);
/* Trims records that neither the ledger nor the accounting needs. */
void source_trim(Source *self);
/* Accounts for all records, and removes them. */
void source_forget(Source *self);
/* Counts @record as received by the guest; and undoes that. */
void source_count_given(Source *self, PacketRecord *record);
void source_uncount_given(Source *self, PacketRecord *record);
/* A frame of @len bytes that we have injected is on its way to the guest, in
 * any of the queues. */
void source_expect_injected(Source *self, uint32_t len);
/* Undoes the accounting of frames from @number on: the guest did not receive
 * them after all. */
void source_unaccount(Source *self, uint64_t number);
/* Sets @serials[LEDGER_QUEUES_MAX] to the serial (LedgerQueue) of the oldest
 * record of each queue; of the next frame, if it has none. */
void source_serials(const Source *self, uint64_t *serials);
/* The VM has stopped, and the ledger knows @lacks of each queue: returns the
 * number of the first frame that the guest lacks, and marks those behind it
 * that it has received (RECORD_HAD). If one of these came at @end_us
 * (CLOCK_REALTIME) or later, the VM has resumed already: see
 * ledger_stop_unheard(). */
uint64_t source_begin(Source *self, int64_t end_us);

/* source-return.c */
/* Creates the injector, if there is none; false if that fails. */
bool source_open_injector(Source *self);
/* The number of the first frame captured at @time_us (CLOCK_REALTIME) or later,
 * provided that captures are in the order of time. */
uint64_t source_first_since(const Source *self, int64_t time_us);
/* The VM stopped again before it was given back everything: from the earlier
 * stop on, all counts as undelivered again. */
void source_abandon_return(Source *self);
/* Remembers which frames an earlier stop may have lost, if that is not settled.
 */
void source_carry_lost(Source *self);
/* The VM has resumed here, at @time_us (CLOCK_REALTIME). */
void source_resume(Source *self, int64_t time_us);
/* A sample was taken in SWITCHOVER_RETURNING. */
void source_settle(Source *self);
/* All frames that a stop may have destroyed were given back before their number
 * was known: tells the ledger once it is. */
void source_settle_destroyed(Source *self);
/* What waits to be given back, and was not shipped. */
Counter source_returning(const Source *self);

#endif
