/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which of the frames that were drained from a TAP's queue have been captured
 * as well? Without I/O; in the loop of the queues only.
 */
#ifndef TF_SWITCHOVER_FOUND_H
#define TF_SWITCHOVER_FOUND_H

#include "packet/queue.h"

/* How many frames of @drained, which is all that one queue of the TAP held, are
 * in @captured, where those of all queues are: @most at the most. They are the
 * last of @drained, in the same order. What was captured and is not among them
 * was dropped by the full queue, or is in another one; one that was missed may
 * be any. */
uint64_t found_count_captured(const PacketQueue *drained,
                              const PacketQueue *captured, uint64_t most);

#endif
