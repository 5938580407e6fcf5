/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What `tapferry source` and `tapferry destination` have in common: they
 * check what they were told, run a tapferryd around one migration, say how it
 * goes, and close with a report and a verdict.
 */
#ifndef TF_CLI_SIDE_H
#define TF_CLI_SIDE_H

#include "cli/child.h"
#include "cli/cli.h"
#include "cli/report.h"

#include <jansson.h>

typedef struct SideOptions {
    char *tap, *vm, *address; /* --to or --listen */
    char *tls_dir;
    char *report, *log;
    char **properties; /* more of the redirector, KEY=VALUE */
    gboolean json, quiet;
    double quiet_time; /* seconds */
    double max_wait;
} SideOptions;

/* The state of daemon and VM; times in monotonic seconds, 0: not yet. */
typedef struct SideState {
    const char *vm;        /* vm-qmp's state */
    const char *migration; /* and migration */
    char phase[16];        /* of the redirector */
    bool moving;           /* a migration has begun */
    bool stopped;          /* the VM has been stopped since the start */
    bool ran;              /* it ran at the destination */
    bool connected, was_connected;
    bool acknowledged;   /* the link is acknowledged, */
    bool ended;          /* and the source has sent LINK_END */
    int64_t unconfirmed; /* shipped, and not acknowledged */
    int64_t came;        /* frames captured, or received */
    int64_t gone;        /* shipped, or injected */
    int64_t waiting;     /* queued, or held */
    double now;
    double changed; /* when @came last changed */
    double settled; /* when the VM had moved, as far as is known */
    double parted;  /* when the connection was lost */
} SideState;

typedef struct Side Side;

typedef struct SideClass {
    const char *name;
    bool is_source; /* else the destination */
    const char *summary;
    const char *address_option, *address_help, *address_form;
    bool any_host;     /* HOST may be left out */
    double quiet_time; /* default */
    /* Is the VM's run state what it is to be at the start? Else an error. */
    bool (*check_vm)(const char *vm, bool running, const char *status,
                     GError **errp);
    /* Appends the chardev and the redirector. */
    bool (*add_args)(GPtrArray *args, const SideOptions *options,
                     GError **errp);
    /* The counters that are came, gone and waiting. */
    const char *came, *gone, *waiting;
    Outcome (*outcome)(const SideState *state, const SideOptions *options);
    /* One phrase: what it does now. */
    const char *(*doing)(const SideState *state);
} SideClass;

bool side_run(const SideClass *class, Cli *cli, int argc, char **argv,
              GError **errp);

/* "host=HOST,port=PORT" of [HOST]:PORT, commas doubled; owned. @any: HOST may
 * be left out and is then the wildcard. */
char *side_parse_address(const char *text, bool any, GError **errp);

/* Appends "-OPTION" and a formatted value. */
void side_add(GPtrArray *args, const char *option, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* @text for a value of key=value text: commas doubled; owned. */
char *side_quote(const char *text);

/* Appends the objects of --tls-creds-dir; returns what the chardev needs. */
const char *side_add_tls(GPtrArray *args, const SideOptions *options,
                         const char *endpoint);

/* The properties of --property, each with a comma in front; owned. */
char *side_more_properties(const SideOptions *options);

#endif
