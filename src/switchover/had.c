/* SPDX-License-Identifier: BSD-2-Clause */
#include "switchover/had.h"

#include <string.h>

#include <glib.h>

struct Had {
    GArray *digests;  /* uint64_t, oldest first */
    unsigned others;  /* of these came from other sources */
    unsigned matched; /* of these are older than what is to be taken */
    uint64_t found;   /* frames that were to be taken */
    uint64_t ends[HAD_QUEUES_MAX]; /* so many of those end a queue's */
    unsigned n_ends;
    uint64_t row[HAD_ROW]; /* the first of @found */
    unsigned place;        /* of had_place() */
    bool placed;
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
    self->placed = false;
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
    self->matched = self->n_ends = 0;
    self->found = 0;
}

static bool had_ends_queue(const Had *self, uint64_t found)
{
    for (unsigned i = 0; i < self->n_ends; i++) {
        if (self->ends[i] == found) {
            return true;
        }
    }
    return false;
}

void had_end_queue(Had *self, uint64_t n)
{
    if (self->n_ends < HAD_QUEUES_MAX &&
        !had_ends_queue(self, self->found + n)) {
        self->ends[self->n_ends++] = self->found + n;
    }
}

bool had_take(Had *self, uint64_t digest)
{
    if (self->found < HAD_ROW) {
        self->row[self->found] = digest;
    }
    if (had_ends_queue(self, self->found++)) {
        self->matched = 0;
    }
    for (unsigned i = self->matched; i < self->others; i++) {
        if (g_array_index(self->digests, uint64_t, i) == digest) {
            self->matched = i + 1;
            return true;
        }
    }
    return false;
}

void had_place(Had *self, uint64_t came)
{
    if (!self->placed && !had_is_full(self)) {
        self->place =
            self->digests->len - (unsigned)MIN(came, self->digests->len);
        self->placed = true;
    }
}

bool had_in_front(const Had *self, uint64_t *n)
{
    const uint64_t *digests = (const uint64_t *)(void *)self->digests->data;
    unsigned times = 0;

    for (unsigned i = self->place; i + HAD_ROW <= self->others; i++) {
        if (memcmp(digests + i, self->row, sizeof(self->row)) == 0) {
            *n = i - self->place;
            times++;
        }
    }
    return self->placed && self->found >= HAD_ROW && times == 1;
}
