/* SPDX-License-Identifier: BSD-2-Clause */
#include "netdev/pace.h"

/* A sample costs some ten microseconds. */
#define RETRY_MIN_US 20
#define RETRY_START_US 150
#define RETRY_MAX_US 5000

void pace_init(Pace *pace)
{
    *pace = (Pace){.retry_us = RETRY_START_US};
}

/* @taken: frames that have left since the last sample. */
static void pace_adapt(Pace *pace, uint64_t taken)
{
    uint64_t retry = pace->retry_us;

    if (taken == 0) {
        retry = MIN(retry * 2, RETRY_MAX_US);
    } else {
        retry = MIN(retry, RETRY_START_US);
        if (taken > pace->limit / 2) {
            retry = MAX(retry / 2, RETRY_MIN_US);
        } else if (taken < pace->limit / 8) {
            retry = MIN(retry * 2, RETRY_START_US);
        }
    }
    pace->retry_us = retry;
}

uint64_t pace_room(Pace *pace, const LinkCounters *counters, PaceQueue queue,
                   uint64_t waiting)
{
    uint64_t left = counters->tx_packets + counters->tx_dropped;
    uint64_t content = meter_sample(&pace->meter, counters);

    if (pace->limit > 0) {
        pace_adapt(pace, left - pace->left);
    }
    pace->left = left;
    pace->limit = pace_limit(content, queue, waiting);
    return content < pace->limit ? pace->limit - content : 0;
}

uint64_t pace_retry_us(const Pace *pace)
{
    return pace->retry_us;
}
