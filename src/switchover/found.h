/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which of the frames that were drained from a TAP's queue have been captured
 * as well? Without I/O; in the loop of the queues only.
 */
#ifndef TF_SWITCHOVER_FOUND_H
#define TF_SWITCHOVER_FOUND_H

#include "packet/queue.h"

/* @drained is all that one queue of the TAP held, @captured all that was
 * captured on the way into any of its queues. How many frames are in both,
 * @most at most? They are the last ones of @drained, in the same order: other
 * captured frames were dropped by the full queue, or are in another one. A
 * record without bytes may be any frame. */
uint64_t found_count_captured(const PacketQueue *drained,
                              const PacketQueue *captured, uint64_t most);

#endif
