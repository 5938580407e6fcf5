/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/event.h"

static EventSink *event_sink;

void event_set_sink(EventSink *sink)
{
    event_sink = sink;
}

void event_emit(const char *name, json_t *data)
{
    if (event_sink) {
        event_sink(name, data);
    }
    json_decref(data);
}
