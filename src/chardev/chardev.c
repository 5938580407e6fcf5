/* SPDX-License-Identifier: BSD-2-Clause */
#include "chardev/chardev.h"

#include "base/loop.h"

#include <errno.h>

static const ChardevClass *chardev_get_class(const Chardev *chardev)
{
    return (const ChardevClass *)chardev->object.class;
}

static void chardev_update(Chardev *chardev)
{
    const ChardevClass *class = chardev_get_class(chardev);

    if (class->update) {
        class->update(chardev);
    }
}

static bool chardev_complete(Object *obj, GError **errp)
{
    Chardev *chardev = (Chardev *)obj;
    const ChardevClass *class = chardev_get_class(chardev);

    if (class->check && !class->check(chardev, errp)) {
        return false;
    }
    if (class->open(chardev, errp)) {
        return true;
    }
    if (obj->syntax == PROP_SYNTAX_JSON) {
        g_prefix_error(errp, "Failed to add chardev '%s': ", obj->id);
    }
    return false;
}

static void chardev_finalize(Object *obj)
{
    Chardev *chardev = (Chardev *)obj;

    chardev->handlers = NULL;
    chardev_get_class(chardev)->close(chardev);
}

static bool chardev_can_be_deleted(Object *obj, GError **errp)
{
    if (((Chardev *)obj)->handlers) {
        return tf_error_set(errp, "Chardev '%s' is busy", obj->id);
    }
    return true;
}

const ObjectClass chardev_class = {
    .name = "chardev",
    .kind = OBJECT_KIND_CHARDEV,
    .size = sizeof(Chardev),
    .doc = "A byte stream to another process or host.",
    .json_prefix = "backend.data.",
    .complete = chardev_complete,
    .finalize = chardev_finalize,
    .can_be_deleted = chardev_can_be_deleted,
};

Chardev *chardev_claim(const char *id, const ChardevHandlers *handlers,
                       void *opaque, GError **errp)
{
    Chardev *chardev = (Chardev *)object_find(OBJECT_KIND_CHARDEV, id);

    if (!chardev) {
        g_set_error(errp, TF_ERROR, TF_ERROR_DEVICE_NOT_FOUND,
                    "Device '%s' not found", id);
        return NULL;
    }
    if (chardev->handlers) {
        tf_error_set(errp, "Device '%s' is in use", id);
        return NULL;
    }
    chardev->claimed = true;
    chardev_get_class(chardev)->move(chardev);
    chardev_attach(chardev, handlers, opaque);
    return chardev;
}

bool chardev_not_found(const char *end, GError **errp)
{
    if (errp && g_error_matches(*errp, TF_ERROR, TF_ERROR_DEVICE_NOT_FOUND)) {
        g_prefix_error(errp, "%s ", end);
    }
    return false;
}

void chardev_attach(Chardev *chardev, const ChardevHandlers *handlers,
                    void *opaque)
{
    g_assert(!chardev->handlers);
    chardev->handlers = handlers;
    chardev->opaque = opaque;
    chardev_update(chardev);
    if (chardev->connected && handlers->opened) {
        handlers->opened(opaque);
    }
}

void chardev_release(Chardev *chardev)
{
    if (!chardev) {
        return;
    }
    chardev->handlers = NULL;
    chardev->opaque = NULL;
    chardev->want_read = false;
    chardev->want_write = false;
    chardev->renewable = false;
    chardev_update(chardev);
    if (chardev->claimed) {
        Loop *before = loop_enter(loop_control());

        chardev->claimed = false;
        chardev_get_class(chardev)->move(chardev);
        loop_leave(before);
    }
}

ssize_t chardev_read(Chardev *chardev, void *buffer, size_t size)
{
    /* A read of 0 bytes would look like the end of the stream. */
    g_assert(size > 0);
    return chardev->connected
               ? chardev_get_class(chardev)->read(chardev, buffer, size)
               : -ENOTCONN;
}

ssize_t chardev_writev(Chardev *chardev, const struct iovec *iov, int n)
{
    return chardev->connected
               ? chardev_get_class(chardev)->writev(chardev, iov, n)
               : -ENOTCONN;
}

void chardev_want_read(Chardev *chardev, bool want)
{
    g_assert(!want || (chardev->handlers && chardev->handlers->readable));
    if (chardev->want_read != want) {
        chardev->want_read = want;
        chardev_update(chardev);
    }
}

void chardev_want_write(Chardev *chardev, bool want)
{
    g_assert(!want || (chardev->handlers && chardev->handlers->writable));
    if (chardev->want_write != want) {
        chardev->want_write = want;
        chardev_update(chardev);
    }
}

void chardev_set_renewable(Chardev *chardev, bool renewable)
{
    chardev->renewable = renewable;
    chardev_update(chardev);
}

void chardev_disconnect(Chardev *chardev)
{
    const ChardevClass *class = chardev_get_class(chardev);

    if (chardev->connected && class->disconnect) {
        class->disconnect(chardev);
    }
}

bool chardev_is_duplex(const Chardev *chardev)
{
    return chardev_get_class(chardev)->duplex;
}

char *chardev_filename(const Chardev *chardev)
{
    return chardev_get_class(chardev)->filename(chardev);
}

void chardev_set_connected(Chardev *chardev, bool connected)
{
    const ChardevHandlers *handlers = chardev->handlers;

    if (chardev->connected == connected) {
        return;
    }
    chardev->connected = connected;
    chardev_update(chardev);
    /* Either may delete the chardev: these calls come last. */
    if (connected && handlers && handlers->opened) {
        handlers->opened(chardev->opaque);
    } else if (!connected && handlers && handlers->closed) {
        handlers->closed(chardev->opaque);
    }
}
