/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The chardev pipe: reads the FIFO path.in and writes the FIFO path.out, or
 * does both with the one at path (QEMU qemu-options.hx, -chardev pipe). Opened
 * for reading and writing, so that neither waits for, nor ends with, a peer.
 */
#include "chardev/descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define PIPE_FLAGS (O_RDWR | O_CLOEXEC | O_NONBLOCK)

static bool pipe_check(const Chardev *chardev, GError **errp)
{
    return descriptors_check(chardev, "device",
                             "chardev: pipe: no device path given", errp);
}

static bool pipe_open(Chardev *chardev, GError **errp)
{
    ChardevDescriptors *self = (ChardevDescriptors *)chardev;
    g_autofree char *in = g_strconcat(self->path, ".in", NULL);
    g_autofree char *out = g_strconcat(self->path, ".out", NULL);
    int in_fd, out_fd;

    in_fd = open(in, PIPE_FLAGS);
    out_fd = open(out, PIPE_FLAGS);
    if (in_fd >= 0 && out_fd >= 0) {
        descriptors_start(self, in_fd, out_fd);
        return true;
    }
    if (in_fd >= 0) {
        close(in_fd);
    }
    if (out_fd >= 0) {
        close(out_fd);
    }
    in_fd = open(self->path, PIPE_FLAGS);
    if (in_fd < 0) {
        return tf_error_set_errno(errp, errno, "Could not open '%s'",
                                  self->path);
    }
    /* A second descriptor, as each has a watch of its own. */
    descriptors_start(self, in_fd, fcntl(in_fd, F_DUPFD_CLOEXEC, 0));
    return true;
}

static const Property pipe_props[] = {
    {.name = "path",
     PROP_FIELD_STRING(ChardevDescriptors, path),
     .flags = PROP_FIXED,
     .json = "device",
     .since = "0.1",
     .doc = "of a FIFO, or of two with .in and .out behind the name"},
    PROP_END,
};

extern const ChardevClass chardev_pipe_class;

const ChardevClass chardev_pipe_class = {
    .object =
        {
            .name = "pipe",
            .parent = &chardev_class,
            .kind = OBJECT_KIND_CHARDEV,
            .size = sizeof(ChardevDescriptors),
            .props = pipe_props,
            .doc = "One FIFO or two.",
        },
    .check = pipe_check,
    .open = pipe_open,
    .close = descriptors_close,
    .read = descriptors_read,
    .writev = descriptors_writev,
    .update = descriptors_update,
    .move = descriptors_move,
    .filename = descriptors_filename,
};
