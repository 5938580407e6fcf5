/* SPDX-License-Identifier: BSD-2-Clause */
#include "wire/link-sender.h"

#include <glib.h>

static uint64_t link_sender_random(void)
{
    return (uint64_t)g_random_int() << 32 | g_random_int() | 1;
}

bool link_sender_opened(LinkSender *self, bool eager, bool under_way)
{
    if (eager || self->session != 0 || under_way) {
        self->phase = LINK_ASKING;
    }
    return self->phase == LINK_ASKING;
}

void link_sender_plain(LinkSender *self, uint64_t sent)
{
    self->phase = LINK_PLAIN;
    self->session = 0;
    self->origin = self->received = self->settled = sent;
}

void link_sender_closed(LinkSender *self)
{
    self->phase = LINK_CLOSED;
}

/* Does the receiver go on from what it got of us? Sets the number. */
static bool link_sender_knows(const LinkSender *self, const LinkRecord *state,
                              const LinkStock *stock, uint64_t *next)
{
    if (state->session != 0) {
        *next = state->next;
        return state->session == self->session && *next <= stock->reach;
    }
    *next = self->origin + state->next;
    return state->next > 0 && state->next <= stock->reach - self->origin &&
           stock->digest(stock->opaque, *next, state->next) == state->digest;
}

uint64_t link_sender_answered(LinkSender *self, const LinkRecord *state,
                              const LinkStock *stock, LinkRecord *answer)
{
    bool known, another = self->epoch != 0 && state->epoch != self->epoch;
    uint64_t next, lost = 0;

    known = link_sender_knows(self, state, stock, &next);
    if (!known) {
        next = self->settled;
    }
    next = MAX(next, self->cancelled_at);
    if (next < stock->oldest) {
        /* Who never answered may have had them, for all that is known. */
        lost = known || self->session != 0 ? stock->oldest - next : 0;
        next = stock->oldest;
    }
    if (!known && another) {
        self->repeated += stock->reach - next;
    }
    if (self->session == 0) {
        self->session = link_sender_random();
    }
    self->phase = LINK_ACKED;
    self->epoch = state->epoch;
    self->lost += lost;
    self->received = next;
    self->settled = MIN(self->settled, next);
    *answer = (LinkRecord){.type = LINK_SESSION,
                           .session = self->session,
                           .next = next,
                           .lost = lost};
    return next;
}

void link_sender_ack(LinkSender *self, const LinkRecord *ack, uint64_t sent)
{
    if (self->phase == LINK_ACKED) {
        self->received = MAX(self->received, MIN(ack->next, sent));
        self->settled = MAX(self->settled, MIN(ack->settled, self->received));
    }
}

void link_sender_cancel(LinkSender *self, uint64_t sent)
{
    self->cancelled = true;
    self->cancelled_at = sent;
    self->received = self->settled = sent;
}

bool link_sender_owes_cancel(const LinkSender *self, const LinkRecord *answer,
                             bool shipping)
{
    return self->cancelled && (!shipping || answer->next <= self->cancelled_at);
}
