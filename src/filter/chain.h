/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The chain: the filters of a netdev, and the only code that walks them.
 *
 * tx (toward the guest) goes head to tail, rx tail to head. For each filter
 * that is on, takes the direction and is meant for the packet the chain counts
 * it and asks for the verdict; what passes all filters is delivered by the
 * netdev. In its loop only.
 */
#ifndef TF_FILTER_CHAIN_H
#define TF_FILTER_CHAIN_H

#include "filter/filter.h"

/* A batch enters @netdev's chain at the end where it comes from. */
void chain_run(Netdev *netdev, Direction direction, const PacketBatch *batch);

/* A batch goes on behind @filter, in @direction. */
void chain_resume(Filter *filter, Direction direction,
                  const PacketBatch *batch);

#endif
