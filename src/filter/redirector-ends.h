/* SPDX-License-Identifier: BSD-2-Clause */
/* Checks which ends of a redirector may be combined. */
#ifndef TF_FILTER_REDIRECTOR_ENDS_H
#define TF_FILTER_REDIRECTOR_ENDS_H

#include "base/error.h"

#include <stdbool.h>

/* The properties of these names; NULL: not given. */
typedef struct RedirectorEnds {
    const char *indev, *outdev, *in_netdev, *out_netdev;
    bool undelivered; /* capture=undelivered */
} RedirectorEnds;

/* False and an error if the combination is not valid. */
bool redirector_ends_check(const RedirectorEnds *ends, GError **errp);

#endif
