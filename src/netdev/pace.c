/* SPDX-License-Identifier: BSD-2-Clause */
#include "netdev/pace.h"

#define RETRY_MIN_US 150
#define RETRY_MAX_US 5000

void pace_init(Pace *pace)
{
    *pace = (Pace){.retry_us = RETRY_MIN_US};
}

uint64_t pace_room(Pace *pace, const LinkCounters *counters, uint32_t length)
{
    uint64_t left = counters->tx_packets + counters->tx_dropped;
    uint64_t content = meter_sample(&pace->meter, counters);

    pace->retry_us = left != pace->left ? RETRY_MIN_US
                                        : MIN(pace->retry_us * 2, RETRY_MAX_US);
    pace->left = left;
    return pace_share(content, length);
}

uint64_t pace_retry_us(const Pace *pace)
{
    return pace->retry_us;
}
