/* SPDX-License-Identifier: BSD-2-Clause */
#include "switchover/had.h"

#include <glib.h>

struct Had {
    GArray *digests;  /* uint64_t, oldest first */
    unsigned others;  /* of these came from other sources */
    unsigned matched; /* of these are older than what is to be taken */
};

Had *had_new(void)
{
    Had *self = g_new0(Had, 1);

    self->digests = g_array_new(false, false, sizeof(uint64_t));
    return self;
}

void had_free(Had *self)
{
    if (self) {
        g_array_unref(self->digests);
        g_free(self);
    }
}

void had_clear(Had *self)
{
    g_array_set_size(self->digests, 0);
    self->others = self->matched = 0;
}

bool had_is_full(const Had *self)
{
    return self->digests->len == HAD_MAX;
}

void had_note(Had *self, uint64_t digest)
{
    if (!had_is_full(self)) {
        g_array_append_val(self->digests, digest);
    }
}

void had_follow(Had *self)
{
    self->others = self->digests->len;
    self->matched = 0;
}

bool had_take(Had *self, uint64_t digest)
{
    for (unsigned i = self->matched; i < self->others; i++) {
        if (g_array_index(self->digests, uint64_t, i) == digest) {
            self->matched = i + 1;
            return true;
        }
    }
    return false;
}
