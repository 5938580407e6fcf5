/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The receiving end of an acknowledged link, as a state machine without I/O:
 * numbers the frames across connections, and acknowledges them.
 */
#ifndef TF_WIRE_LINK_RECEIVER_H
#define TF_WIRE_LINK_RECEIVER_H

#include "wire/link-record.h"

typedef struct LinkReceiver {
    uint64_t epoch;
    uint64_t session; /* 0: frames are numbered from the begin of the last
                         connection without LINK_ASK */
    uint64_t next;    /* number of the next frame */
    LinkTail tail;
    bool acked; /* the sender of this connection has named its session */
    uint64_t told_next, told_settled; /* the last acknowledgement */
    uint64_t lost;                    /* as reported by the sender */
    bool owes;         /* frames came, and the sender has sent neither LINK_END
                          nor LINK_CANCELLED since */
    uint64_t vanished; /* senders that were replaced while that was so */
} LinkReceiver;

void link_receiver_init(LinkReceiver *self);

/* Takes over from a daemon that has ended: the frames of @session before number
 * @settled are settled, and no others are here. */
void link_receiver_recall(LinkReceiver *self, uint64_t session,
                          uint64_t settled);

/* The frames of a connection begin without acknowledgements: the sender does
 * not support them. */
void link_receiver_plain(LinkReceiver *self);
/* LINK_SESSION came. True if the sender replaces one that vanished: what that
 * one had captured and not sent is lost and uncounted. */
bool link_receiver_session(LinkReceiver *self, const LinkRecord *session);
/* LINK_END or LINK_CANCELLED came. */
void link_receiver_settle(LinkReceiver *self);
void link_receiver_closed(LinkReceiver *self);

/* A complete frame came, from its destination address on. */
void link_receiver_frame(LinkReceiver *self, const uint8_t *frame, size_t len);

/* Fills in the answer to LINK_ASK, while @held frames are not settled. */
void link_receiver_state(const LinkReceiver *self, uint64_t held,
                         LinkRecord *state);

/* The number before which all frames are settled. */
uint64_t link_receiver_settled(const LinkReceiver *self, uint64_t held);

/* Fills in an acknowledgement; false if there is nothing new. */
bool link_receiver_ack(LinkReceiver *self, uint64_t held, LinkRecord *ack);

#endif
