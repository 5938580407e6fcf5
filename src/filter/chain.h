/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The filter chain of a netdev.
 *
 * tx (toward the guest) goes from head to tail, rx from tail to head. For each
 * filter that is on, has the direction selected (queue) and matches the packet
 * (bpf), the chain counts the packet and calls packet(); what passes all
 * filters is delivered by the netdev. In its loop only.
 */
#ifndef TF_FILTER_CHAIN_H
#define TF_FILTER_CHAIN_H

#include "filter/filter.h"

/* A batch enters @netdev's chain: tx at its head, rx at its tail. */
void chain_run(Netdev *netdev, Direction direction, const PacketBatch *batch);

/* A batch enters or continues in the chain behind @filter, in @direction. */
void chain_resume(Filter *filter, Direction direction,
                  const PacketBatch *batch);

#endif
