/* SPDX-License-Identifier: BSD-2-Clause */
#include "wire/link-receiver.h"

#include <glib.h>

void link_receiver_init(LinkReceiver *self)
{
    *self = (LinkReceiver){
        .epoch = (uint64_t)g_random_int() << 32 | g_random_int() | 1,
    };
}

void link_receiver_recall(LinkReceiver *self, uint64_t session,
                          uint64_t settled)
{
    self->session = session;
    self->next = settled;
}

void link_receiver_plain(LinkReceiver *self)
{
    self->session = self->next = 0;
    self->tail.count = 0;
    self->acked = false;
}

bool link_receiver_session(LinkReceiver *self, const LinkRecord *session)
{
    bool another = self->session != 0 && self->session != session->session;
    bool vanished = another && self->owes;

    self->vanished += vanished;
    self->owes = self->owes && !another;
    self->session = session->session;
    self->next = session->next;
    self->lost += session->lost;
    self->acked = true;
    /* What this sender was told last is no matter: it was told where we are. */
    self->told_next = self->told_settled = 0;
    return vanished;
}

void link_receiver_settle(LinkReceiver *self)
{
    self->owes = false;
}

void link_receiver_closed(LinkReceiver *self)
{
    self->acked = false;
}

void link_receiver_frame(LinkReceiver *self, const uint8_t *frame, size_t len)
{
    self->next++;
    self->owes = true;
    link_tail_add(&self->tail, frame, len);
}

/* Frames that an earlier sender has left here may be among those held. */
uint64_t link_receiver_settled(const LinkReceiver *self, uint64_t held)
{
    return self->next - MIN(held, self->next);
}

void link_receiver_state(const LinkReceiver *self, uint64_t held,
                         LinkRecord *state)
{
    *state = (LinkRecord){
        .type = LINK_STATE,
        .epoch = self->epoch,
        .session = self->session,
        .next = self->next,
        .settled = link_receiver_settled(self, held),
        .digest = link_tail_digest(&self->tail),
    };
}

bool link_receiver_ack(LinkReceiver *self, uint64_t held, LinkRecord *ack)
{
    uint64_t settled = link_receiver_settled(self, held);

    if (!self->acked ||
        (self->told_next == self->next && self->told_settled == settled)) {
        return false;
    }
    self->told_next = self->next;
    self->told_settled = settled;
    *ack =
        (LinkRecord){.type = LINK_ACK, .next = self->next, .settled = settled};
    return true;
}
