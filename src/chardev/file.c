/* SPDX-License-Identifier: BSD-2-Clause */
/* The chardev file: what is written goes to a file. */
#include "chardev/descriptors.h"

#include <errno.h>
#include <fcntl.h>

static bool file_check(const Chardev *chardev, GError **errp)
{
    return descriptors_check(chardev, "out", "chardev: file: no filename given",
                             errp);
}

static bool file_open(Chardev *chardev, GError **errp)
{
    ChardevDescriptors *self = (ChardevDescriptors *)chardev;
    int fd;

    fd = open(self->path,
              O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK |
                  (self->append ? O_APPEND : O_TRUNC),
              0666);
    if (fd < 0) {
        return tf_error_set_errno(errp, errno, "Could not open '%s'",
                                  self->path);
    }
    descriptors_start(self, -1, fd);
    return true;
}

static const Property file_props[] = {
    {.name = "path",
     PROP_FIELD_STRING(ChardevDescriptors, path),
     .flags = PROP_FIXED,
     .json = "out",
     .since = "0.1",
     .doc = "the file's name"},
    {.name = "append",
     PROP_FIELD_BOOL(ChardevDescriptors, append),
     .flags = PROP_FIXED,
     .def = "off",
     .since = "0.1",
     .doc = "write behind what is there; off: begin anew"},
    PROP_END,
};

extern const ChardevClass chardev_file_class;

const ChardevClass chardev_file_class = {
    .object =
        {
            .name = "file",
            .parent = &chardev_class,
            .kind = OBJECT_KIND_CHARDEV,
            .size = sizeof(ChardevDescriptors),
            .props = file_props,
            .doc = "A file that is written to.",
        },
    .check = file_check,
    .open = file_open,
    .close = descriptors_close,
    .read = descriptors_read,
    .writev = descriptors_writev,
    .update = descriptors_update,
    .move = descriptors_move,
    .filename = descriptors_filename,
};
