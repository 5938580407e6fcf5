/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The chardevs null, which forgets what is written, and ringbuf, which keeps
 * the last bytes of it in memory. Nothing ever comes from either.
 * In its loop only.
 */
#ifndef TF_CHARDEV_RINGBUF_H
#define TF_CHARDEV_RINGBUF_H

#include "chardev/chardev.h"

/* The ringbuf @id; DeviceNotFound, or GenericError if it is another type. */
Chardev *chardev_ringbuf_find(const char *id, GError **errp);

/* Takes up to @size of the oldest bytes into @buffer; returns how many. */
size_t chardev_ringbuf_take(Chardev *chardev, void *buffer, size_t size);

#endif
