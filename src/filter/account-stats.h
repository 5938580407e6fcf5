/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A redirector's account, told: in query-netfilter-stats and in
 * query-switchover.
 */
#ifndef TF_FILTER_ACCOUNT_STATS_H
#define TF_FILTER_ACCOUNT_STATS_H

#include "switchover/account.h"

#include <jansson.h>
#include <stdbool.h>

/* Adds a redirector's counters, in the order that it always has. */
void account_add_stats(const Account *account, json_t *counters);

/* Adds to an entry of query-switchover what became of the frames.
 * @capturing: on the source's side, else on the destination's. */
void account_add_switchover(const Account *account, bool capturing,
                            json_t *entry);

#endif
