/* SPDX-License-Identifier: BSD-2-Clause */
#include "filter/redirector-ends.h"

#include <string.h>

bool redirector_ends_check(const RedirectorEnds *self, GError **errp)
{
    const struct {
        const char *a, *b;
        const char *a_name, *b_name;
    } exclusive[] = {
        {self->in_netdev, self->out_netdev, "in_netdev", "out_netdev"},
        {self->in_netdev, self->indev, "in_netdev", "indev"},
        {self->out_netdev, self->outdev, "out_netdev", "outdev"},
    };

    if (!self->indev && !self->outdev && !self->in_netdev &&
        !self->out_netdev) {
        return tf_error_set(errp, "filter redirector needs 'indev', 'outdev', "
                                  "'in_netdev' or 'out_netdev' at least one "
                                  "property set");
    }
    if (self->indev && self->outdev && !strcmp(self->indev, self->outdev)) {
        return tf_error_set(errp, "'indev' and 'outdev' could not be same "
                                  "for filter redirector");
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(exclusive); i++) {
        if (exclusive[i].a && exclusive[i].b) {
            return tf_error_set(errp, "'%s' and '%s' can not be used together",
                                exclusive[i].a_name, exclusive[i].b_name);
        }
    }
    if (self->out_netdev && !self->indev) {
        return tf_error_set(errp, "'out_netdev' needs 'indev': there is "
                                  "nothing else to take frames from");
    }
    if (self->undelivered && (!self->in_netdev || !self->outdev)) {
        return tf_error_set(errp, "'capture=undelivered' needs 'in_netdev' "
                                  "and 'outdev'");
    }
    return true;
}
