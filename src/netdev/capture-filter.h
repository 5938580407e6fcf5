/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The socket filter (classic BPF) of a capture: excludes our own injected
 * frames, the other direction, other queues, and what capture_set_match() does
 * not want.
 *
 * A CaptureFilter is plain data: it may be copied, to another thread too.
 */
#ifndef TF_NETDEV_CAPTURE_FILTER_H
#define TF_NETDEV_CAPTURE_FILTER_H

#include <stdbool.h>

#include "netdev/capture.h"

#include <linux/filter.h>

/* Longest program of capture_set_match() that is used, in instructions (the
 * kernel's limit is BPF_MAXINSNS, 4,096). A longer one is ignored: its owner
 * matches once more anyway. */
#define CAPTURE_MATCH_MAX 1024
#define CAPTURE_FILTER_HEAD 11

typedef struct CaptureFilter {
    unsigned short len;
    struct sock_filter code[CAPTURE_FILTER_HEAD + CAPTURE_MATCH_MAX];
} CaptureFilter;

/* Makes a filter for frames in @directions and @queues that @match takes
 * (capture.h); @match NULL: all. */
void capture_filter_init(CaptureFilter *filter, unsigned directions,
                         CaptureQueues queues, const struct sock_fprog *match);

/* Attaches it to the socket @fd; NULL: a filter that drops everything. False
 * and errno if that fails. */
bool capture_filter_attach(const CaptureFilter *filter, int fd);

#endif
