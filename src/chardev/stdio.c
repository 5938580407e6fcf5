/* SPDX-License-Identifier: BSD-2-Clause */
/* The chardev stdio: standard input and output, for one chardev at a time. */
#include "chardev/descriptors.h"

#include <fcntl.h>
#include <unistd.h>

static bool stdio_used;
static int stdio_in_flags, stdio_out_flags;

static bool stdio_open(Chardev *chardev, GError **errp)
{
    if (stdio_used) {
        return tf_error_set(errp,
                            "cannot use stdio by multiple character devices");
    }
    stdio_used = true;
    /* The open file descriptions are shared with our parent: restores their
     * flags. */
    stdio_in_flags = fcntl(STDIN_FILENO, F_GETFL);
    stdio_out_flags = fcntl(STDOUT_FILENO, F_GETFL);
    fcntl(STDIN_FILENO, F_SETFL, stdio_in_flags | O_NONBLOCK);
    fcntl(STDOUT_FILENO, F_SETFL, stdio_out_flags | O_NONBLOCK);
    descriptors_start((ChardevDescriptors *)chardev,
                      fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0),
                      fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0));
    return true;
}

static void stdio_close(Chardev *chardev)
{
    if (((ChardevDescriptors *)chardev)->opened) {
        fcntl(STDIN_FILENO, F_SETFL, stdio_in_flags);
        fcntl(STDOUT_FILENO, F_SETFL, stdio_out_flags);
        stdio_used = false;
    }
    descriptors_close(chardev);
}

static const Property stdio_props[] = {
    {.name = "signal",
     PROP_FIELD_BOOL(ChardevDescriptors, signal),
     .flags = PROP_FIXED,
     .def = "on",
     .since = "0.1",
     .doc = "taken for QEMU's sake: the terminal is left as it is"},
    PROP_END,
};

extern const ChardevClass chardev_stdio_class;

const ChardevClass chardev_stdio_class = {
    .object =
        {
            .name = "stdio",
            .parent = &chardev_class,
            .kind = OBJECT_KIND_CHARDEV,
            .size = sizeof(ChardevDescriptors),
            .props = stdio_props,
            .doc = "Standard input and output.",
        },
    .open = stdio_open,
    .close = stdio_close,
    .read = descriptors_read,
    .writev = descriptors_writev,
    .update = descriptors_update,
    .move = descriptors_move,
    .filename = descriptors_filename,
};
