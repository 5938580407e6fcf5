/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/event.h"

#include "base/loop-thread.h"

#include <glib.h>

static EventSink *event_sink;

void event_set_sink(EventSink *sink)
{
    event_sink = sink;
}

typedef struct Event {
    const char *name;
    json_t *data;
} Event;

/* In the main thread. */
static void event_deliver(void *opaque)
{
    Event *event = opaque;

    if (event_sink) {
        event_sink(event->name, event->data);
    }
    json_decref(event->data);
    g_free(event);
}

void event_emit(const char *name, json_t *data)
{
    Event *event = g_new(Event, 1);

    *event = (Event){name, data};
    loop_call_main(event_deliver, event);
}
