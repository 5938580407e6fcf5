/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The receiving end of an acknowledged link, as a state machine without I/O:
 * counts what comes, whatever the connection, and tells the sender.
 */
#ifndef TF_WIRE_LINK_RECEIVER_H
#define TF_WIRE_LINK_RECEIVER_H

#include "wire/link-record.h"

typedef struct LinkReceiver {
    uint64_t epoch;
    uint64_t session; /* 0: frames count from the last plain beginning */
    uint64_t next;    /* number of the frame to come */
    LinkTail tail;
    bool acked; /* the sender of this connection has named its session */
    uint64_t told_next, told_settled; /* the last acknowledgement */
    uint64_t lost;                    /* by the sender's word */
    bool owes;         /* frames came, and the sender neither took its leave nor
                          said that they are void */
    uint64_t vanished; /* senders that another followed while they owed */
} LinkReceiver;

void link_receiver_init(LinkReceiver *self);

/* It follows one that has ended: of @session all frames before number @settled
 * have their place, and no others are here. */
void link_receiver_recall(LinkReceiver *self, uint64_t session,
                          uint64_t settled);

/* The frames of a connection begin, and the sender has not accepted. */
void link_receiver_plain(LinkReceiver *self);
/* The sender has, and names its session. True if it follows one that vanished:
 * what that had captured and not sent is lost, and nobody has counted it. */
bool link_receiver_session(LinkReceiver *self, const LinkRecord *session);
/* It takes its leave, or the frames up to now are void. */
void link_receiver_settle(LinkReceiver *self);
void link_receiver_closed(LinkReceiver *self);

/* A frame came whole, from its destination address on. */
void link_receiver_frame(LinkReceiver *self, const uint8_t *frame, size_t len);

/* What to answer a sender that asks, while @held frames have no place yet. */
void link_receiver_state(const LinkReceiver *self, uint64_t held,
                         LinkRecord *state);

/* All frames before that number have their place for good. */
uint64_t link_receiver_settled(const LinkReceiver *self, uint64_t held);

/* True if there is something to acknowledge, and what. */
bool link_receiver_ack(LinkReceiver *self, uint64_t held, LinkRecord *ack);

#endif
