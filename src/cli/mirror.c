/* SPDX-License-Identifier: BSD-2-Clause */
/* tapferry mirror --tap IF (--to HOST:PORT | --write FILE) [--bpf EXPR] */
#include "cli/member.h"
#include "cli/progress.h"
#include "cli/side.h"
#include "cli/signals.h"

#include <stdio.h>
#include <string.h>

#define MIRROR_POLL_MS 500

typedef struct Mirror {
    char *tap, *to, *file, *bpf;
    gboolean quiet;
    json_int_t seen, sent, dropped;
} Mirror;

static bool mirror_check(const Mirror *self, char **words, GError **errp)
{
    if (!self->tap || !self->to == !self->file || words[0]) {
        g_set_error(errp, CLIENT_ERROR, CLIENT_FAILED,
                    "mirror: give --tap IF and one of --to HOST:PORT and "
                    "--write FILE.pcapng");
        return false;
    }
    return true;
}

static bool mirror_add_args(const Mirror *self, GPtrArray *args, GError **errp)
{
    g_autofree char *tap = side_quote(self->tap);
    g_autofree char *expression = side_quote(self->bpf ? self->bpf : "");
    g_autofree char *bpf =
        self->bpf ? g_strconcat(",bpf=", expression, NULL) : g_strdup("");
    g_autofree char *file = NULL;
    g_autofree char *address = NULL;

    side_add(args, "-netdev", "tap,id=n0,ifname=%s", tap);
    if (self->file) {
        g_autofree char *path = g_canonicalize_filename(self->file, NULL);

        file = side_quote(path);
        side_add(args, "-object",
                 "filter-dump,id=f0,netdev=n0,file=%s,format=%s%s", file,
                 g_str_has_suffix(file, ".pcap") ? "pcap" : "pcapng", bpf);
        return true;
    }
    address = side_parse_address(self->to, false, errp);
    if (!address) {
        return false;
    }
    side_add(args, "-chardev", "socket,id=c0,%s,reconnect-ms=500", address);
    side_add(args, "-object", "filter-mirror,id=f0,netdev=n0,outdev=c0%s", bpf);
    return true;
}

static bool mirror_poll(Mirror *self, Client *client, GError **errp)
{
    json_auto_t *stats =
        client_execute(client, "query-netfilter-stats", NULL, errp);
    json_t *entry = json_array_get(stats, 0);
    json_t *counter;
    size_t i;

    self->seen = member_integer(entry, "packets-tx") +
                 member_integer(entry, "packets-rx");
    self->dropped = 0;
    json_array_foreach (json_object_get(entry, "counters"), i, counter) {
        const char *name = json_string_value(json_object_get(counter, "name"));

        if (name && g_str_has_prefix(name, "dropped-")) {
            self->dropped += member_integer(counter, "packets");
        }
    }
    self->sent = self->seen - self->dropped;
    return stats != NULL;
}

static bool mirror_follow(Mirror *self, Client *client, Progress *progress,
                          GError **errp)
{
    while (!signals_caught()) {
        g_autofree char *figures = NULL;
        json_t *event;

        if (!client_next_event(client, MIRROR_POLL_MS, &event, errp)) {
            return false;
        }
        json_decref(event);
        if (!mirror_poll(self, client, errp)) {
            return false;
        }
        figures = g_strdup_printf("%" JSON_INTEGER_FORMAT
                                  " frames, %" JSON_INTEGER_FORMAT " dropped",
                                  self->sent, self->dropped);
        progress_show(progress, "copying; Ctrl-C ends it", figures);
    }
    return true;
}

static bool mirror_run(Mirror *self, const Cli *cli, GError **errp)
{
    g_autoptr(GPtrArray) args = g_ptr_array_new_with_free_func(g_free);
    Progress progress = {.name = "mirror", .quiet = self->quiet};
    Child child = {0};
    bool ok = mirror_add_args(self, args, errp) &&
              child_start(&child, cli->socket_given ? cli->socket : NULL, NULL,
                          args, errp) &&
              mirror_follow(self, child.client, &progress, errp);

    progress_end(&progress);
    child_stop(&child);
    if (ok) {
        printf("%" JSON_INTEGER_FORMAT " frames copied, %" JSON_INTEGER_FORMAT
               " dropped\n",
               self->sent, self->dropped);
    }
    return ok;
}

bool cli_mirror(Cli *cli, int argc, char **argv, GError **errp)
{
    Mirror self = {0};
    const GOptionEntry entries[] = {
        {"tap", 't', 0, G_OPTION_ARG_STRING, &self.tap, "The interface", "IF"},
        {"to", 0, 0, G_OPTION_ARG_STRING, &self.to,
         "Send the frames there, each behind its length", "HOST:PORT"},
        {"write", 'w', 0, G_OPTION_ARG_FILENAME, &self.file,
         "Write them there: pcapng, or pcap for a name that ends so", "FILE"},
        {"bpf", 'b', 0, G_OPTION_ARG_STRING, &self.bpf,
         "Only what this pcap-filter(7) expression matches", "EXPR"},
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &self.quiet,
         "Do not say how far it is", NULL},
        {NULL}};
    g_auto(GStrv) words = cli_parse(
        cli, argc, argv, NULL,
        "Copies the frames of both directions, until Ctrl-C.", entries, errp);
    bool ok = words && mirror_check(&self, words, errp);

    signals_catch();
    ok = ok && mirror_run(&self, cli, errp);
    g_free(self.tap);
    g_free(self.to);
    g_free(self.file);
    g_free(self.bpf);
    return ok;
}
