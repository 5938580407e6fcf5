/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The daemon's command line, in QEMU's grammar: read into a list of things to
 * make, which main() then makes. Nothing here opens or prints anything.
 */
#ifndef TF_DAEMON_OPTIONS_H
#define TF_DAEMON_OPTIONS_H

#include "monitor/connection.h"
#include "object/object.h"

/* One -object, -chardev or -netdev. */
typedef struct OptionItem {
    const char *command; /* the monitor command that makes it */
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

typedef struct Options {
    GPtrArray *early;    /* OptionItem *: objects that others may name */
    GPtrArray *chardevs; /* OptionItem * */
    GPtrArray *netdevs;  /* OptionItem * */
    GPtrArray *filters;  /* OptionItem * */
    GPtrArray *monitors; /* OptionMonitor * */
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
