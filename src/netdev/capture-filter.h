/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a capture leaves to the kernel, which then neither copies nor wakes us
 * for it: our own frames, the other direction, and what nobody asked for.
 *
 * A CaptureFilter is plain data: it may be copied, to another thread too.
 */
#ifndef TF_NETDEV_CAPTURE_FILTER_H
#define TF_NETDEV_CAPTURE_FILTER_H

#include <stdbool.h>

#include "netdev/capture.h"

#include <linux/filter.h>

/* Of a program's instructions; the kernel takes 4,096 of them (BPF_MAXINSNS).
 * A longer one is left to whoever looks again. */
#define CAPTURE_MATCH_MAX 1024
#define CAPTURE_FILTER_HEAD 11

typedef struct CaptureFilter {
    unsigned short len;
    struct sock_filter code[CAPTURE_FILTER_HEAD + CAPTURE_MATCH_MAX];
} CaptureFilter;

/* Of frames in @directions, and in @queues, those that @match takes; NULL:
 * all (capture.h). */
void capture_filter_init(CaptureFilter *filter, unsigned directions,
                         CaptureQueues queues, const struct sock_fprog *match);

/* Puts it on the socket @fd; NULL: one that takes nothing. */
bool capture_filter_attach(const CaptureFilter *filter, int fd);

#endif
