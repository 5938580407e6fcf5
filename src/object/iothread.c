/* SPDX-License-Identifier: BSD-2-Clause */
#include "object/iothread.h"

#include "base/loop-thread.h"

#include <inttypes.h>
#include <limits.h>

/* QEMU's properties: the loop here never polls, has no batches of disk
 * requests and no pool of threads. */
typedef struct IoThreadParams {
    int64_t poll_max_ns, poll_grow, poll_shrink, aio_max_batch;
    int64_t thread_pool_min, thread_pool_max;
} IoThreadParams;

struct IoThread {
    Object object;
    IoThreadParams params, before; /* what qom-set found */
    Loop *loop;
};

extern const ObjectClass iothread_class;

IoThread *iothread_from_object(Object *obj)
{
    return object_is_a(obj, &iothread_class) ? (IoThread *)obj : NULL;
}

Loop *iothread_loop(const IoThread *self)
{
    return self->loop;
}

json_t *iothread_query_all(void)
{
    GPtrArray *objects = object_list(OBJECT_KIND_OBJECT);
    json_t *list = json_array();

    for (guint i = 0; i < objects->len; i++) {
        const IoThread *self = iothread_from_object(objects->pdata[i]);

        if (self) {
            json_array_append_new(
                list,
                json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "id",
                          self->object.id, "thread-id",
                          (json_int_t)loop_thread_id(self->loop), "poll-max-ns",
                          (json_int_t)self->params.poll_max_ns, "poll-grow",
                          (json_int_t)self->params.poll_grow, "poll-shrink",
                          (json_int_t)self->params.poll_shrink, "aio-max-batch",
                          (json_int_t)self->params.aio_max_batch));
        }
    }
    return list;
}

/* In QEMU's words. */
static bool iothread_check(const IoThread *self, GError **errp)
{
    const struct {
        const char *name;
        int64_t value;
    } rows[] = {
        {"poll-max-ns", self->params.poll_max_ns},
        {"poll-grow", self->params.poll_grow},
        {"poll-shrink", self->params.poll_shrink},
        {"aio-max-batch", self->params.aio_max_batch},
        {"thread-pool-min", self->params.thread_pool_min},
        {"thread-pool-max", self->params.thread_pool_max},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (rows[i].value < 0) {
            return tf_error_set(errp,
                                "%s value must be in range [0, %" PRId64 "]",
                                rows[i].name, INT64_MAX);
        }
    }
    return (self->params.thread_pool_min <= self->params.thread_pool_max &&
            self->params.thread_pool_max > 0 &&
            self->params.thread_pool_max <= INT_MAX) ||
           tf_error_set(errp, "bad thread-pool-min/thread-pool-max values");
}

static bool iothread_changed(Object *obj, const Property *row, GError **errp)
{
    IoThread *self = (IoThread *)obj;
    bool ok = iothread_check(self, errp);

    if (ok) {
        self->before = self->params;
    } else {
        self->params = self->before;
    }
    return ok;
}

static bool iothread_complete(Object *obj, GError **errp)
{
    IoThread *self = (IoThread *)obj;
    g_autofree char *name = g_strconcat("IO ", obj->id, NULL);

    if (!iothread_check(self, errp)) {
        return false;
    }
    self->before = self->params;
    self->loop = loop_thread_new(name, errp);
    return self->loop != NULL;
}

static void iothread_finalize(Object *obj)
{
    IoThread *self = (IoThread *)obj;

    if (self->loop) {
        loop_thread_free(self->loop);
    }
}

#define NO_EFFECT "taken as QEMU takes it; has no effect here"

static const Property iothread_props[] = {
    {.name = "poll-max-ns",
     PROP_FIELD_INT(IoThread, params.poll_max_ns),
     .def = "32768",
     .since = "0.1",
     .doc = NO_EFFECT},
    {.name = "poll-grow",
     PROP_FIELD_INT(IoThread, params.poll_grow),
     .since = "0.1",
     .doc = NO_EFFECT},
    {.name = "poll-shrink",
     PROP_FIELD_INT(IoThread, params.poll_shrink),
     .since = "0.1",
     .doc = NO_EFFECT},
    {.name = "aio-max-batch",
     PROP_FIELD_INT(IoThread, params.aio_max_batch),
     .since = "0.1",
     .doc = NO_EFFECT},
    {.name = "thread-pool-min",
     PROP_FIELD_INT(IoThread, params.thread_pool_min),
     .since = "0.1",
     .doc = NO_EFFECT},
    {.name = "thread-pool-max",
     PROP_FIELD_INT(IoThread, params.thread_pool_max),
     .def = "64",
     .since = "0.1",
     .doc = NO_EFFECT},
    PROP_END,
};

const ObjectClass iothread_class = {
    .name = "iothread",
    .kind = OBJECT_KIND_OBJECT,
    .order = OBJECT_ORDER_FIRST,
    .size = sizeof(IoThread),
    .props = iothread_props,
    .doc = "a thread that netdevs may be put on",
    .complete = iothread_complete,
    .finalize = iothread_finalize,
    .changed = iothread_changed,
};
