/* SPDX-License-Identifier: BSD-2-Clause */
#include "filter/chain.h"

static bool chain_takes(const Filter *filter, Direction direction)
{
    switch ((FilterQueue)filter->queue) {
    case FILTER_QUEUE_TX:
        return direction == DIRECTION_TX;
    case FILTER_QUEUE_RX:
        return direction == DIRECTION_RX;
    case FILTER_QUEUE_ALL:
        break;
    }
    return true;
}

/* Shows the batch to one filter; what it does not let pass leaves it. */
static void chain_filter(Filter *filter, Direction direction,
                         PacketBatch *batch)
{
    const FilterClass *class = filter_get_class(filter);
    unsigned kept = 0;

    if (!filter->on || filter->aside || !class->packet ||
        !chain_takes(filter, direction)) {
        return;
    }
    for (unsigned i = 0; i < batch->n; i++) {
        const Packet *packet = &batch->packets[i];
        Verdict verdict;

        if (!filter_matches(filter, packet)) {
            batch->packets[kept++] = *packet;
            continue;
        }
        verdict = class->packet(filter, direction, packet);
        if (verdict == VERDICT_PASS) {
            batch->packets[kept++] = *packet;
        } else if (verdict >= VERDICT_DROP) {
            filter_drop(filter, (DropCause)(verdict - VERDICT_DROP), 1,
                        packet->len);
        }
        counter_add(&filter->seen[direction], 1, packet->len);
    }
    batch->n = kept;
    if (class->batch_end) {
        class->batch_end(filter);
    }
}

/* Walks from the filter at @index, in the order of @direction. */
static void chain_walk(Netdev *netdev, int index, Direction direction,
                       const PacketBatch *batch)
{
    int step = direction == DIRECTION_TX ? 1 : -1;
    PacketBatch left;

    packet_batch_copy(&left, batch);
    for (; index >= 0 && index < (int)netdev->filters->len && left.n > 0;
         index += step) {
        chain_filter(netdev->filters->pdata[index], direction, &left);
    }
    if (left.n > 0) {
        netdev_deliver(netdev, direction, &left);
    }
}

void chain_run(Netdev *netdev, Direction direction, const PacketBatch *batch)
{
    int start = direction == DIRECTION_TX ? 0 : (int)netdev->filters->len - 1;

    chain_walk(netdev, start, direction, batch);
}

void chain_resume(Filter *filter, Direction direction, const PacketBatch *batch)
{
    guint index;

    if (g_ptr_array_find(filter->netdev->filters, filter, &index)) {
        chain_walk(filter->netdev,
                   (int)index + (direction == DIRECTION_TX ? 1 : -1), direction,
                   batch);
    }
}
