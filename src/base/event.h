/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The way of an event (NETDEV_STREAM_CONNECTED, SWITCHOVER, …) from the layer
 * where it happens up to whoever listens, without the lower layer knowing of
 * monitors. event_emit() in any thread that holds its loop: the event is
 * delivered by the main thread, in order.
 */
#ifndef TF_BASE_EVENT_H
#define TF_BASE_EVENT_H

#include <jansson.h>

/* @data is borrowed and may be NULL. */
typedef void EventSink(const char *name, json_t *data);

/* Events go to @sink from now on; before that they are dropped. */
void event_set_sink(EventSink *sink);

/* Emits event @name, a constant; takes @data (may be NULL). */
void event_emit(const char *name, json_t *data);

#endif
