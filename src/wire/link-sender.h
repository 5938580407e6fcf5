/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sending end of an acknowledged link, as a state machine without I/O:
 * whether to send LINK_ASK, what the peer has, and where to resume after a
 * connection was lost. Frames are numbered from 0 over the life of the sender.
 */
#ifndef TF_WIRE_LINK_SENDER_H
#define TF_WIRE_LINK_SENDER_H

#include "wire/link-record.h"

typedef enum LinkPhase {
    LINK_CLOSED,
    LINK_ASKING, /* waits for an answer; no frame goes out */
    LINK_PLAIN,  /* frames only: the peer was not asked or has not answered */
    LINK_ACKED,  /* the peer acknowledges */
} LinkPhase;

typedef struct LinkSender {
    LinkPhase phase;
    uint64_t session;  /* 0: no peer has answered since the last connection
                          that began in LINK_PLAIN, */
    uint64_t origin;   /* whose first frame this was */
    uint64_t epoch;    /* of the receiver that answered last */
    uint64_t received; /* it has all frames before this */
    uint64_t settled;  /* and has settled all before this */
    bool cancelled;    /* frames before cancelled_at are void */
    uint64_t cancelled_at;
    uint64_t repeated; /* frames sent again that a receiver which is gone may
                          have settled since its last acknowledgement */
    uint64_t lost;     /* frames that were to be sent again, but were no longer
                          in memory */
} LinkSender;

/* What the sender has: the numbers of the oldest frame that can be sent again,
 * of the next new one, and behind the last that may have reached the peer. */
typedef struct LinkStock {
    uint64_t oldest, sent, reach;
    /* Of the last frames of the @count that end before @number. */
    uint64_t (*digest)(void *opaque, uint64_t number, uint64_t count);
    void *opaque;
} LinkStock;

/* A connection begins. True: send LINK_ASK. @eager: always if possible; else
 * only if frames that were sent may not have arrived (@under_way). */
bool link_sender_opened(LinkSender *self, bool eager, bool under_way);

/* The peer has not answered: the connection goes on with frame @sent, in
 * LINK_PLAIN. */
void link_sender_plain(LinkSender *self, uint64_t sent);

void link_sender_closed(LinkSender *self);

/* In LINK_ASKING the peer has answered with @state. Returns the number of the
 * frame to go on with, and fills in @answer. */
uint64_t link_sender_answered(LinkSender *self, const LinkRecord *state,
                              const LinkStock *stock, LinkRecord *answer);

/* An acknowledgement came; @sent frames were sent. */
void link_sender_ack(LinkSender *self, const LinkRecord *ack, uint64_t sent);

/* The VM runs at the source again: all of @sent frames are void. */
void link_sender_cancel(LinkSender *self, uint64_t sent);

/* The peer may not have received LINK_CANCELLED: send it once more behind
 * @answer. @shipping: frames that are not void are being sent again. */
bool link_sender_owes_cancel(const LinkSender *self, const LinkRecord *answer,
                             bool shipping);

#endif
