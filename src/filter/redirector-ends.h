/* SPDX-License-Identifier: BSD-2-Clause */
/* Which ends of a redirector go together. */
#ifndef TF_FILTER_REDIRECTOR_ENDS_H
#define TF_FILTER_REDIRECTOR_ENDS_H

#include "base/error.h"

#include <stdbool.h>

/* The properties of these names; NULL: not given. */
typedef struct RedirectorEnds {
    const char *indev, *outdev, *in_netdev, *out_netdev;
    bool undelivered; /* capture=undelivered */
} RedirectorEnds;

bool redirector_ends_check(const RedirectorEnds *ends, GError **errp);

#endif
