/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * QMP events (NETDEV_STREAM_CONNECTED, SWITCHOVER, …), from the layer where
 * they happen to the monitors, which are a higher layer. event_emit() may be
 * called by any thread that holds its loop; the main thread delivers the
 * events, in order.
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
