/* SPDX-License-Identifier: BSD-2-Clause */
#include "switchover/shortfall.h"

#include "switchover/ledger.h"

#include <glib.h>

void shortfall_clear(Shortfall *self)
{
    self->known = self->follows = false;
    self->came = 0;
}

void shortfall_begin(Shortfall *self, const ShortfallPlace *place,
                     uint64_t came)
{
    if (self->known && self->follows) {
        return; /* what lies between is not known */
    }
    self->known = true;
    self->follows = false;
    self->from = *place;
    self->came = came;
}

void shortfall_pieces(Shortfall *self, uint64_t n)
{
    self->pieces = n;
    self->from.cut |= !self->follows;
}

void shortfall_follow(Shortfall *self)
{
    self->follows = true;
    self->pieces = 0; /* the one that was under way is not complete */
}

/* How many frames has the stop destroyed? False: that is not known. */
static bool shortfall_destroyed(const Shortfall *self,
                                const ShortfallFound *found, uint64_t *n)
{
    uint64_t taken = found->taken - self->from.taken;

    *n = 0;
    if (self->from.full && found->aligned) {
        *n = found->front - MIN(taken, found->front);
    }
    return !self->from.full ||
           (!self->from.cut && found->aligned && *n <= LEDGER_DESTROYED_MAX);
}

bool shortfall_found(Shortfall *self, const ShortfallFound *found)
{
    uint64_t end = found->place - found->again, destroyed;
    /* A TAP of that name that was made anew counts from 0. */
    bool known = shortfall_destroyed(self, found, &destroyed) && self->known &&
                 end >= self->from.place;

    if (!self->follows) {
        return false; /* it was told before */
    }
    if (known) {
        end += destroyed - self->from.place;
        self->missing += end - MIN(self->came, end);
        self->told = true;
    }
    self->follows = false;
    shortfall_begin(self, &(ShortfallPlace){.place = found->place}, 0);
    return known;
}
