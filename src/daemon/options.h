/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The daemon's command line, in QEMU's grammar: parsed into lists of objects
 * and monitors, which main() then creates. Nothing here opens or prints
 * anything.
 */
#ifndef TF_DAEMON_OPTIONS_H
#define TF_DAEMON_OPTIONS_H

#include "monitor/connection.h"
#include "object/object.h"

/* One -object, -chardev or -netdev. */
typedef struct OptionItem {
    const char *command; /* the monitor command that creates it */
    char *text;          /* "-object filter-mirror,id=…", for messages */
    json_t *args;
    PropertySyntax syntax;
} OptionItem;

/* One -qmp, -monitor or -mon. */
typedef struct OptionMonitor {
    char *text;
    char *device; /* as monitor_open() takes it */
    MonitorMode mode;
} OptionMonitor;

/* The order of creation, regardless of the order on the command line. */
typedef enum OptionStage {
    OPTION_STAGE_FIRST, /* objects that others may refer to */
    OPTION_STAGE_CHARDEVS,
    OPTION_STAGE_BEHIND_CHARDEVS, /* objects that refer to chardevs */
    OPTION_STAGE_NETDEVS,
    OPTION_STAGE_BEHIND_NETDEVS, /* filters, and others that refer to netdevs */
    OPTION_STAGE__MAX,
} OptionStage;

typedef struct Options {
    GPtrArray *items[OPTION_STAGE__MAX]; /* OptionItem * */
    GPtrArray *monitors;                 /* OptionMonitor * */
    bool stopped;
    bool daemonize;
    bool sandbox;
    char *user; /* NULL: stay who we are */
    char *pidfile;
    char *logfile;
    char *readconfig;
    char *print; /* print this and exit: -help and its like */
} Options;

void options_init(Options *options);
void options_clear(Options *options);

/* Reads @argv. An error's message begins with the option at fault. */
bool options_parse(Options *options, int argc, char **argv, GError **errp);

/* Appends an array of the options themselves to @schema. */
void options_schema(json_t *schema);

#endif
