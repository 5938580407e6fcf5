/* SPDX-License-Identifier: BSD-2-Clause */
#include "filter/account-stats.h"

#include "filter/filter.h"

#include <string.h>

void account_add_stats(const Account *account, json_t *counters)
{
    const struct {
        const char *name;
        const Counter *counter;
    } rows[] = {
        {"indev", &account->indev},
        {"outdev", &account->outdev},
        {"in_netdev", &account->in_netdev},
        {"out_netdev", &account->out_netdev},
        {"delivered", &account->delivered},
        {"pending", &account->pending},
        {"queued", &account->queued},
        {"held", &account->held},
        {"duplicate", &account->duplicate},
        {"discarded", &account->discarded},
        {"reinjected", &account->reinjected},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        filter_stats_add(counters, rows[i].name, *rows[i].counter);
    }
    for (unsigned i = 0; i < DROP__MAX; i++) {
        filter_stats_add(counters, drop_cause_name(i), account->dropped[i]);
    }
}

/* Where the ledger stands, in frames: does each that came have its place? */
static json_t *account_ledger(const Account *account, bool capturing)
{
    uint64_t came, has;

    if (capturing) {
        came = account->in_netdev.packets;
        has = account->delivered.packets + account->pending.packets +
              account->outdev.packets + account->queued.packets;
    } else {
        came = account->indev.packets;
        has = account->out_netdev.packets + account->held.packets +
              account->duplicate.packets + account->discarded.packets;
    }
    for (unsigned i = 0; i < DROP__MAX; i++) {
        has += account->dropped[i].packets;
    }
    return json_pack("{s:I, s:I, s:b}", "came", (json_int_t)came,
                     "accounted-for", (json_int_t)has, "balances", came == has);
}

void account_add_switchover(const Account *account, bool capturing,
                            json_t *entry)
{
    const Counter *moved = capturing ? &account->outdev : &account->out_netdev;
    json_t *dropped = json_object();

    for (unsigned i = 0; i < DROP__MAX; i++) {
        json_object_set_new(
            dropped, drop_cause_name(i) + strlen("dropped-"),
            json_integer((json_int_t)account->dropped[i].packets));
    }
    json_object_set_new(entry, "dropped", dropped);
    json_object_set_new(entry, "ledger", account_ledger(account, capturing));
    json_object_set_new(entry, "duplicates",
                        json_integer((json_int_t)account->duplicate.packets));
    json_object_set_new(entry, "packets",
                        json_integer((json_int_t)moved->packets));
    json_object_set_new(entry, "bytes", json_integer((json_int_t)moved->bytes));
}
