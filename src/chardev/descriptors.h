/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the chardevs file, pipe and stdio have in common: a descriptor to read
 * from and one to write to, which are there from the start. In its loop only.
 */
#ifndef TF_CHARDEV_DESCRIPTORS_H
#define TF_CHARDEV_DESCRIPTORS_H

#include "base/loop.h"
#include "chardev/chardev.h"

typedef struct ChardevDescriptors {
    Chardev chardev;
    /* properties */
    char *path;
    bool append; /* file */
    bool signal; /* stdio; has no effect */
    /* state */
    bool opened;
    int in_fd, out_fd; /* owned; -1: none */
    LoopWatch in, out;
    LoopTimer timer; /* until a handler is called without an event */
    bool broken;     /* the reader has closed its end */
} ChardevDescriptors;

/* False and an error if there is no path: JSON syntax names the parameter
 * @json, else the message is @words. */
bool descriptors_check(const Chardev *chardev, const char *json,
                       const char *words, GError **errp);

/* The hooks of the class; open() has called descriptors_start(). */
void descriptors_start(ChardevDescriptors *self, int in_fd, int out_fd);
void descriptors_close(Chardev *chardev);
ssize_t descriptors_read(Chardev *chardev, void *buffer, size_t size);
ssize_t descriptors_writev(Chardev *chardev, const struct iovec *iov, int n);
void descriptors_update(Chardev *chardev);
void descriptors_move(Chardev *chardev);

/* "filename": the type's name. */
char *descriptors_filename(const Chardev *chardev);

#endif
