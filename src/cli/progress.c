/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/progress.h"

#include <stdio.h>
#include <unistd.h>

void progress_show(Progress *self, const char *phase, const char *figures)
{
    bool changed = g_strcmp0(self->last, phase) != 0;

    if (self->quiet) {
        return;
    }
    if (isatty(STDERR_FILENO)) {
        fprintf(stderr, "\r%s: %s (%s)\033[K", self->name, phase, figures);
        self->shown = true;
    } else if (changed) {
        fprintf(stderr, "%s: %s (%s)\n", self->name, phase, figures);
    }
    fflush(stderr);
    if (changed) {
        g_free(self->last);
        self->last = g_strdup(phase);
    }
}

void progress_say(Progress *self, const char *text)
{
    if (!self->quiet) {
        fprintf(stderr, "%s%s: %s%s\n", self->shown ? "\r" : "", self->name,
                text, self->shown ? "\033[K" : "");
        self->shown = false;
    }
}

void progress_end(Progress *self)
{
    if (self->shown) {
        fputc('\n', stderr);
    }
    self->shown = false;
    g_clear_pointer(&self->last, g_free);
}
