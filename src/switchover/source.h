/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The source of a switchover (capture=undelivered): keeps the last frames that
 * reached the TAP while the VM runs; when it stops, ships those that the guest
 * did not receive, and everything from then on; injects them here if the VM
 * resumes here. See docs/switchover.md.
 *
 * Each captured frame is one record of the writer's queue, numbered as the
 * ledger numbers it. In its loop only.
 */
#ifndef TF_SWITCHOVER_SOURCE_H
#define TF_SWITCHOVER_SOURCE_H

#include "chardev/frame-writer.h"
#include "netdev/tap.h"
#include "switchover/account.h"
#include "switchover/record.h"
#include "switchover/source-link.h"

typedef struct SourceConfig {
    const char *name; /* of the redirector, for log and events; borrowed */
    Tap *tap;
    const char *chardev; /* outdev */
    uint32_t vnet_len;
    uint64_t send_queue_size;
    FullPolicy on_full;
    LinkMode acknowledge;
    bool arm_always;
    uint32_t keep_tap_ms; /* see keeper.h */
    uint32_t overlap;     /* PROP_AUTO: what is known */
    bool *exact; /* kept up to date: the used index is known and calibrated */
} SourceConfig;

typedef struct Source Source;

Source *source_new(const SourceConfig *config, GError **errp);
/* Harmless with NULL. */
void source_free(Source *source);

/* Off: it neither captures nor ships. */
void source_set_on(Source *source, bool on);

/* The counters of the capturing side. */
Account source_account(Source *source);
const SwitchoverRecord *source_record(const Source *source);
/* The state of the link, for query-switchover; owned. */
json_t *source_link(const Source *source);

#endif
