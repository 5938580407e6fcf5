/* SPDX-License-Identifier: BSD-2-Clause */
#include "chardev/ringbuf.h"

#include "base/loop.h"

#include <errno.h>

#define RINGBUF_SIZE_MAX (1024 * 1024 * 1024)

typedef struct ChardevRingbuf {
    Chardev chardev;
    uint64_t size;    /* 0: 64 KiB */
    uint8_t *bytes;   /* NULL: null keeps nothing */
    uint64_t in, out; /* bytes ever written, and taken or overwritten */
    LoopTimer timer;
} ChardevRingbuf;

extern const ChardevClass chardev_null_class;
extern const ChardevClass chardev_ringbuf_class;

Chardev *chardev_ringbuf_find(const char *id, GError **errp)
{
    Object *obj = object_find(OBJECT_KIND_CHARDEV, id);

    if (!obj) {
        tf_error_set(errp, "Device '%s' not found", id);
        return NULL;
    }
    if (obj->class != &chardev_ringbuf_class.object) {
        tf_error_set(errp, "%s is not a ringbuf device", id);
        return NULL;
    }
    return (Chardev *)obj;
}

size_t chardev_ringbuf_take(Chardev *chardev, void *buffer, size_t size)
{
    ChardevRingbuf *self = (ChardevRingbuf *)chardev;
    uint8_t *to = buffer;
    size_t n = 0;

    while (n < size && self->out < self->in) {
        to[n++] = self->bytes[self->out++ & (self->size - 1)];
    }
    return n;
}

static void ringbuf_turn(void *opaque);

static bool ringbuf_open(Chardev *chardev, GError **errp)
{
    ChardevRingbuf *self = (ChardevRingbuf *)chardev;

    if (chardev->object.class == &chardev_ringbuf_class.object) {
        self->size = self->size ? self->size : 64 * 1024;
        if (self->size & (self->size - 1)) {
            return tf_error_set(errp, "size of ringbuf chardev must be power "
                                      "of two");
        }
        self->bytes = g_malloc(self->size);
    }
    loop_timer_open(&self->timer, ringbuf_turn, self);
    chardev_set_connected(chardev, true);
    return true;
}

static void ringbuf_close(Chardev *chardev)
{
    ChardevRingbuf *self = (ChardevRingbuf *)chardev;

    loop_timer_close(&self->timer);
    g_free(self->bytes);
}

static ssize_t ringbuf_read(Chardev *chardev, void *buffer, size_t size)
{
    return -EAGAIN;
}

static ssize_t ringbuf_writev(Chardev *chardev, const struct iovec *iov, int n)
{
    ChardevRingbuf *self = (ChardevRingbuf *)chardev;
    ssize_t written = 0;

    for (int i = 0; i < n; i++) {
        const uint8_t *from = iov[i].iov_base;

        for (size_t j = 0; self->bytes && j < iov[i].iov_len; j++) {
            self->bytes[self->in++ & (self->size - 1)] = from[j];
        }
        written += (ssize_t)iov[i].iov_len;
    }
    if (self->in - self->out > self->size) {
        self->out = self->in - self->size;
    }
    return written;
}

static void ringbuf_update(Chardev *chardev);

static void ringbuf_turn(void *opaque)
{
    ChardevRingbuf *self = opaque;

    if (self->chardev.want_write) {
        ringbuf_update(&self->chardev); /* as long as it wants to write */
        self->chardev.handlers->writable(self->chardev.opaque);
    }
}

/* Always writable; writable() is called from the loop. */
static void ringbuf_update(Chardev *chardev)
{
    ChardevRingbuf *self = (ChardevRingbuf *)chardev;

    if (chardev->want_write && !self->timer.armed) {
        loop_timer_set(&self->timer, 0);
    }
}

static void ringbuf_move(Chardev *chardev)
{
    loop_timer_move(&((ChardevRingbuf *)chardev)->timer);
}

static char *ringbuf_filename(const Chardev *chardev)
{
    return g_strdup(chardev->object.class->name);
}

static const Property ringbuf_props[] = {
    {.name = "size",
     PROP_FIELD_SIZE(ChardevRingbuf, size),
     .flags = PROP_FIXED,
     .max = RINGBUF_SIZE_MAX,
     .since = "0.1",
     .doc = "bytes kept, a power of two; 0: 64 KiB"},
    PROP_END,
};

const ChardevClass chardev_ringbuf_class = {
    .object =
        {
            .name = "ringbuf",
            .parent = &chardev_class,
            .kind = OBJECT_KIND_CHARDEV,
            .size = sizeof(ChardevRingbuf),
            .props = ringbuf_props,
            .doc = "Keeps the last bytes written, in memory.",
        },
    .open = ringbuf_open,
    .close = ringbuf_close,
    .read = ringbuf_read,
    .writev = ringbuf_writev,
    .update = ringbuf_update,
    .move = ringbuf_move,
    .filename = ringbuf_filename,
};

const ChardevClass chardev_null_class = {
    .object =
        {
            .name = "null",
            .parent = &chardev_class,
            .kind = OBJECT_KIND_CHARDEV,
            .size = sizeof(ChardevRingbuf),
            .doc = "Forgets what is written.",
        },
    .open = ringbuf_open,
    .close = ringbuf_close,
    .read = ringbuf_read,
    .writev = ringbuf_writev,
    .update = ringbuf_update,
    .move = ringbuf_move,
    .filename = ringbuf_filename,
};
