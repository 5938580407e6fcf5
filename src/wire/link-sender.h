/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sending end of an acknowledged link, as a state machine without I/O:
 * whether to ask, what the peer has, and where to go on after a connection was
 * lost. Frames are numbered from 0 over the life of the sender.
 */
#ifndef TF_WIRE_LINK_SENDER_H
#define TF_WIRE_LINK_SENDER_H

#include "wire/link-record.h"

typedef enum LinkPhase {
    LINK_CLOSED,
    LINK_ASKING, /* no frame goes out */
    LINK_PLAIN,  /* the peer knows nothing but frames, for all that is known */
    LINK_ACKED,  /* it tells what it has */
} LinkPhase;

typedef struct LinkSender {
    LinkPhase phase;
    uint64_t session;  /* 0: no peer has ever answered since it began plainly */
    uint64_t origin;   /* the first frame since then */
    uint64_t epoch;    /* of the receiver that answered last */
    uint64_t received; /* it has all before this */
    uint64_t settled;  /* and has found a place for all before this */
    bool cancelled;    /* frames before cancelled_at are needed no more */
    uint64_t cancelled_at;
    uint64_t repeated; /* went out again, and a receiver that is no more may
                          have settled some of them since its last word */
    uint64_t lost;     /* were to go out again, and were there no more */
} LinkSender;

/* What the sender has: the numbers of the oldest frame that could go out
 * again, of the next new one, and behind the last that the peer can have. */
typedef struct LinkStock {
    uint64_t oldest, sent, reach;
    /* Of the last frames of the @count that end before @number. */
    uint64_t (*digest)(void *opaque, uint64_t number, uint64_t count);
    void *opaque;
} LinkStock;

/* A connection begins. @eager: asks whenever it can; else only if frames went
 * out that may not have arrived, @under_way. True: it is to ask. */
bool link_sender_opened(LinkSender *self, bool eager, bool under_way);

/* A connection goes on with frame @sent and no more than frames. */
void link_sender_plain(LinkSender *self, uint64_t sent);

void link_sender_closed(LinkSender *self);

/* While asking: the peer says @state. Returns the number of the frame to go on
 * with, and what to answer. */
uint64_t link_sender_answered(LinkSender *self, const LinkRecord *state,
                              const LinkStock *stock, LinkRecord *answer);

/* The peer has that much of @sent frames. */
void link_sender_ack(LinkSender *self, const LinkRecord *ack, uint64_t sent);

/* All of @sent frames are void: the VM has them. */
void link_sender_cancel(LinkSender *self, uint64_t sent);

/* The peer may not have heard of that: it is to be said once more behind
 * @answer. @shipping: frames that are not void are on their way again. */
bool link_sender_owes_cancel(const LinkSender *self, const LinkRecord *answer,
                             bool shipping);

#endif
