/* SPDX-License-Identifier: BSD-2-Clause */
#include "chardev/descriptors.h"

#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

/* A regular file can't be polled: writable() is called at this interval. */
#define DESCRIPTORS_TURN_US 5000

static bool descriptors_can_poll(int fd)
{
    struct stat status;

    return fd >= 0 && fstat(fd, &status) == 0 && !S_ISREG(status.st_mode) &&
           !S_ISDIR(status.st_mode);
}

static bool descriptors_wants_read(const ChardevDescriptors *self)
{
    return self->chardev.connected && self->chardev.want_read &&
           self->in_fd >= 0;
}

static void descriptors_turn(void *opaque)
{
    ChardevDescriptors *self = opaque;
    Chardev *chardev = &self->chardev;

    descriptors_update(chardev); /* as long as it wants another */
    if (self->broken) {
        chardev_set_connected(chardev, false);
    } else if (descriptors_wants_read(self) &&
               !descriptors_can_poll(self->in_fd)) {
        chardev->handlers->readable(chardev->opaque);
    } else if (chardev->want_write) {
        chardev->handlers->writable(chardev->opaque);
    }
}

static void descriptors_in_event(void *opaque, uint32_t events)
{
    ChardevDescriptors *self = opaque;
    Chardev *chardev = &self->chardev;

    if (chardev->want_read) {
        chardev->handlers->readable(chardev->opaque);
    } else {
        loop_watch_remove(&self->in); /* a hang-up can't be masked */
    }
}

static void descriptors_out_event(void *opaque, uint32_t events)
{
    ChardevDescriptors *self = opaque;
    Chardev *chardev = &self->chardev;

    if (chardev->want_write && (events & EPOLLOUT)) {
        chardev->handlers->writable(chardev->opaque);
    } else {
        loop_watch_remove(&self->out);
        self->broken = true;
        descriptors_update(chardev);
    }
}

static void descriptors_watch(LoopWatch *watch, int fd, bool want,
                              uint32_t events, LoopFunc *func, void *opaque)
{
    if (!want) {
        loop_watch_remove(watch);
    } else if (watch->fd < 0) {
        loop_watch_add(watch, fd, events, func, opaque);
    }
}

void descriptors_update(Chardev *chardev)
{
    ChardevDescriptors *self = (ChardevDescriptors *)chardev;
    bool polls = descriptors_can_poll(self->out_fd);
    bool writing = chardev->connected && chardev->want_write && !self->broken;
    bool polls_in = descriptors_can_poll(self->in_fd);
    bool reading = descriptors_wants_read(self);
    bool soon = (reading && !polls_in) || (chardev->connected && self->broken);

    descriptors_watch(&self->in, self->in_fd, reading && polls_in, EPOLLIN,
                      descriptors_in_event, self);
    descriptors_watch(&self->out, self->out_fd, writing && polls, EPOLLOUT,
                      descriptors_out_event, self);
    if ((soon || (writing && !polls)) && !self->timer.armed) {
        loop_timer_set(&self->timer, soon ? 0 : DESCRIPTORS_TURN_US);
    }
}

void descriptors_move(Chardev *chardev)
{
    ChardevDescriptors *self = (ChardevDescriptors *)chardev;

    loop_watch_move(&self->in);
    loop_watch_move(&self->out);
    loop_timer_move(&self->timer);
}

ssize_t descriptors_read(Chardev *chardev, void *buffer, size_t size)
{
    ChardevDescriptors *self = (ChardevDescriptors *)chardev;
    ssize_t n;

    if (self->in_fd < 0) {
        return -EAGAIN;
    }
    do {
        n = read(self->in_fd, buffer, size);
    } while (n < 0 && errno == EINTR);
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        /* The end of the input does not close the output: a daemon with its
         * input from /dev/null still writes. */
        loop_watch_remove(&self->in);
        close(self->in_fd);
        self->in_fd = -1;
        return -EAGAIN;
    }
    return n < 0 ? -errno : n;
}

ssize_t descriptors_writev(Chardev *chardev, const struct iovec *iov, int n)
{
    ChardevDescriptors *self = (ChardevDescriptors *)chardev;
    ssize_t written;

    if (self->broken || self->out_fd < 0) {
        return -EPIPE;
    }
    do {
        written = writev(self->out_fd, iov, MIN(n, IOV_MAX));
    } while (written < 0 && errno == EINTR);
    if (written < 0 && errno == EPIPE) {
        /* The frontend is called from the loop, not from within its own
         * call. */
        self->broken = true;
        descriptors_update(chardev);
        return -EPIPE;
    }
    return written < 0 ? -errno : written;
}

bool descriptors_check(const Chardev *chardev, const char *json,
                       const char *words, GError **errp)
{
    if (((const ChardevDescriptors *)chardev)->path) {
        return true;
    }
    return chardev->object.syntax == PROP_SYNTAX_JSON
               ? tf_error_set(errp, "Parameter 'backend.data.%s' is missing",
                              json)
               : tf_error_set(errp, "%s", words);
}

void descriptors_start(ChardevDescriptors *self, int in_fd, int out_fd)
{
    self->opened = true;
    self->in_fd = in_fd;
    self->out_fd = out_fd;
    self->in = LOOP_WATCH_INIT;
    self->out = LOOP_WATCH_INIT;
    loop_timer_open(&self->timer, descriptors_turn, self);
    chardev_set_connected(&self->chardev, true);
}

void descriptors_close(Chardev *chardev)
{
    ChardevDescriptors *self = (ChardevDescriptors *)chardev;

    if (!self->opened) {
        return;
    }
    loop_timer_close(&self->timer);
    loop_watch_remove(&self->in);
    loop_watch_remove(&self->out);
    if (self->in_fd >= 0) {
        close(self->in_fd);
    }
    if (self->out_fd >= 0) {
        close(self->out_fd);
    }
}

char *descriptors_filename(const Chardev *chardev)
{
    return g_strdup(chardev->object.class->name);
}
