/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A redirector's counters (switchover/account.h) as JSON, for
 * query-netfilter-stats and query-switchover.
 */
#ifndef TF_FILTER_ACCOUNT_STATS_H
#define TF_FILTER_ACCOUNT_STATS_H

#include "switchover/account.h"

#include <jansson.h>
#include <stdbool.h>

/* Appends a redirector's counters to @counters, in their fixed order. */
void account_add_stats(const Account *account, json_t *counters);

/* Adds counters to an entry of query-switchover: those of the source
 * (@capturing), else of the destination. */
void account_add_switchover(const Account *account, bool capturing,
                            json_t *entry);

#endif
