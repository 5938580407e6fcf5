/* SPDX-License-Identifier: BSD-2-Clause */
#include "switchover/used-frames.h"

#include <glib.h>

/* A capture may be some microseconds late (meter.h). */
#define UNKNOWN_SAMPLES_MAX 3

void used_frames_clear(UsedFrames *self)
{
    g_free(self->large);
    *self = (UsedFrames){0};
}

void used_frames_restart(UsedFrames *self, uint16_t used, uint16_t header)
{
    self->index = used;
    self->more = 0;
    self->header = header;
    self->unknown = 0;
}

void used_frames_captured_large(UsedFrames *self, uint32_t len)
{
    if (!self->large) {
        self->large = g_new(uint32_t, USED_FRAMES_LARGE_MAX);
    }
    self->large[self->next++ % USED_FRAMES_LARGE_MAX] = len;
    if (self->next - self->first > USED_FRAMES_LARGE_MAX) {
        self->first++;
        self->expected = MAX(self->expected, self->first);
    }
}

uint16_t used_frames_wanted(const UsedFrames *self, uint16_t used)
{
    return self->first < self->next ? (uint16_t)(used - self->index) : 0;
}

/* Not full: a frame ends in it. */
static bool is_last(const UsedFrames *self, uint32_t length)
{
    return length <= self->header + USED_FRAMES_ONE_BUFFER;
}

/* Can a buffer with so many bytes be a frame of its own? */
static bool is_small(const UsedFrames *self, uint32_t length)
{
    return length >= self->header && is_last(self, length);
}

/* If large frame @serial begins with the first of the @n buffers: how many of
 * them it takes. 0: it does not. */
static unsigned large_buffers(const UsedFrames *self, uint64_t serial,
                              const uint32_t *lengths, unsigned n)
{
    uint32_t length = self->large[serial % USED_FRAMES_LARGE_MAX];
    uint32_t left = self->header + length;

    if (length == 0) {
        return 0; /* it has come */
    }
    for (unsigned i = 0; i < n && lengths[i] <= left; i++) {
        left -= lengths[i];
        if (left == 0) {
            return i + 1;
        }
        if (is_last(self, lengths[i])) {
            break;
        }
    }
    return 0;
}

/* A large frame begins with the first of the @n buffers: returns how many of
 * them it takes. It is frame *@serial, the oldest expected; or that one, and
 * some behind it, were overtaken, or never reach the guest (dropped by the
 * queue, or filtered out by the VMM). Then it is the one that takes the most
 * buffers: a shorter one matches only by chance. 0: it is not one of the frames
 * captured. */
static unsigned find_large(const UsedFrames *self, const uint32_t *lengths,
                           unsigned n, uint64_t *serial)
{
    unsigned most = 0, buffers;

    if (self->expected < self->next) {
        *serial = self->expected;
        most = large_buffers(self, *serial, lengths, n);
    }
    if (most > 0) {
        return most;
    }
    for (uint64_t i = self->first; i < self->next; i++) {
        buffers = large_buffers(self, i, lengths, n);
        if (buffers > most) {
            most = buffers;
            *serial = i;
        }
    }
    return most;
}

static unsigned take_large(UsedFrames *self, const uint32_t *lengths,
                           unsigned n)
{
    uint64_t serial;
    unsigned buffers = find_large(self, lengths, n, &serial);

    if (buffers > 0) {
        self->large[serial % USED_FRAMES_LARGE_MAX] = 0;
        if (serial > self->expected) {
            self->overtaken_at = used_frames_count(self);
        }
        self->expected = MAX(self->expected, serial + 1);
    }
    return buffers;
}

/* Stops looking for frames that never come. */
static void forget_overtaken(UsedFrames *self)
{
    uint16_t behind = (uint16_t)(used_frames_count(self) - self->overtaken_at);
    uint64_t most =
        behind > USED_FRAMES_OVERTAKEN_BY ? 0 : USED_FRAMES_OVERTAKEN_MAX;

    self->first = MAX(self->first, self->expected - MIN(most, self->expected));
    while (self->first < self->expected &&
           self->large[self->first % USED_FRAMES_LARGE_MAX] == 0) {
        self->first++;
    }
}

bool used_frames_sample(UsedFrames *self, uint16_t used,
                        const uint32_t *lengths)
{
    unsigned n = used_frames_wanted(self, used), at = 0, buffers = 1;

    if (n == 0) {
        self->index = used; /* each frame took one */
        return true;
    }
    while (lengths && at < n && buffers > 0) {
        buffers = is_small(self, lengths[at])
                      ? 1
                      : take_large(self, lengths + at, n - at);
        at += buffers;
        self->more = (uint16_t)(self->more + MAX(buffers, 1) - 1);
    }
    self->index = (uint16_t)(self->index + at);
    forget_overtaken(self);
    self->unknown = at < n ? self->unknown + 1 : 0;
    if (lengths && self->unknown < UNKNOWN_SAMPLES_MAX) {
        return true;
    }
    used_frames_restart(self, used, self->header);
    return false;
}
