/* SPDX-License-Identifier: BSD-2-Clause */
#include "switchover/shortfall.h"

#include <glib.h>

void shortfall_clear(Shortfall *self)
{
    self->known = self->follows = false;
    self->came = 0;
}

void shortfall_begin(Shortfall *self, uint64_t place, uint64_t came)
{
    if (self->known && self->follows) {
        return; /* what lies between is not known */
    }
    self->known = true;
    self->follows = false;
    self->place = place;
    self->came = came;
}

void shortfall_follow(Shortfall *self)
{
    self->follows = true;
    self->before = self->came;
}

bool shortfall_found(Shortfall *self, const ShortfallFound *found)
{
    uint64_t end = found->place - found->again;
    /* A TAP of that name that was made anew counts from 0. */
    bool known = self->known && end >= self->place;
    uint64_t came = self->came - MIN(found->cut, self->came - self->before);

    if (!self->follows) {
        return false; /* it was told before */
    }
    if (known) {
        self->missing += end - self->place - MIN(came, end - self->place);
        self->told = true;
    }
    self->follows = false;
    shortfall_begin(self, found->place, 0);
    return known;
}
