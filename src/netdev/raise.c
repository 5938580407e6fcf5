/* SPDX-License-Identifier: BSD-2-Clause */
#include "netdev/raise.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>

#define NOTE "tapferry: txqueuelen was %u"
/* If reading the length takes longer than this, the host is too busy to change
 * it: the kernel would drop frames for as long. */
#define READ_MAX_US 500

static void raise_note(char *alias, uint32_t usual)
{
    g_snprintf(alias, IFALIASZ, NOTE, usual);
}

static bool raise_is_note(const char *alias, uint32_t usual)
{
    char note[IFALIASZ];

    raise_note(note, usual);
    return strcmp(alias, note) == 0;
}

typedef enum Reading { READ_DONE, READ_BUSY, READ_FAILED } Reading;

/* Reads the queue; READ_BUSY: the host is too busy to change it. */
static Reading raise_read(const Raise *self, LinkQueue *queue)
{
    int64_t start = g_get_monotonic_time();

    if (!tap_read_queue(self->tap, queue)) {
        return READ_FAILED;
    }
    return g_get_monotonic_time() - start < READ_MAX_US ? READ_DONE : READ_BUSY;
}

static void raise_adopt(Raise *self)
{
    LinkQueue queue;
    unsigned usual;

    if (self->allowed && tap_read_queue(self->tap, &queue) &&
        sscanf(queue.alias, NOTE, &usual) == 1 && usual > 0 &&
        raise_is_note(queue.alias, usual) && queue.length > usual &&
        queue.length - usual == RAISE_BY) {
        self->usual = usual;
        self->ifindex = tap_ifindex(self->tap);
        self->adopted = true;
        log_info("tap",
                 "%s: txqueuelen was raised by another daemon, from %u to %u",
                 tap_ifname(self->tap), usual, queue.length);
    }
}

void raise_init(Raise *self, Tap *tap)
{
    *self = (Raise){.tap = tap};
}

void raise_allow(Raise *self)
{
    self->allowed = true;
    raise_adopt(self);
}

uint32_t raise_extra(const Raise *self)
{
    return raise_is_up(self) &&
                   tap_queue_length(self->tap) == self->usual + RAISE_BY
               ? RAISE_BY
               : 0;
}

/* Sets the queue, and *@lost to how many frames the TAP has dropped meanwhile.
 */
static bool raise_set(Raise *self, const LinkQueue *queue, uint64_t *lost,
                      GError **errp)
{
    LinkCounters before = {0}, after = {0};
    bool ok;

    tap_read_counters(self->tap, &before);
    ok = tap_set_queue(self->tap, queue, errp);
    tap_read_counters(self->tap, &after);
    *lost = after.tx_dropped - MIN(before.tx_dropped, after.tx_dropped);
    if (*lost > 0) {
        log_warning("tap",
                    "%s: the change of txqueuelen cost %" G_GUINT64_FORMAT
                    " frames of the network's",
                    tap_ifname(self->tap), *lost);
    }
    return ok;
}

bool raise_up(Raise *self, uint64_t *lost)
{
    g_autoptr(GError) error = NULL;
    uint32_t usual;
    LinkQueue queue;

    if (!self->allowed || self->failed || raise_is_up(self) ||
        raise_read(self, &queue) != READ_DONE) {
        return false;
    }
    if (queue.length == 0 || queue.length >= RAISE_BY ||
        tap_is_multi_queue(self->tap)) {
        self->failed = true; /* not needed, or it would take too long */
        return false;
    }
    usual = queue.length;
    queue.length += RAISE_BY;
    if (queue.alias[0] == '\0') {
        raise_note(queue.alias, usual);
    }
    if (!raise_set(self, &queue, lost, &error)) {
        self->failed = true;
        log_warning("tap",
                    "%s: %s; frames are injected at the pace of a queue of %u",
                    tap_ifname(self->tap), error->message, usual);
        return false;
    }
    self->usual = usual;
    self->ifindex = tap_ifindex(self->tap);
    self->adopted = false;
    log_info("tap", "%s: txqueuelen is raised from %u to %u",
             tap_ifname(self->tap), usual, queue.length);
    return true;
}

/* How to do it by hand. */
static char *raise_command(const char *ifname, uint32_t usual)
{
    return g_strdup_printf("'ip link set %s txqueuelen %u alias \"\"'", ifname,
                           usual);
}

/* Undoes the change in @queue. False: another process has set the length. */
static bool raise_undo(LinkQueue *queue, uint32_t usual)
{
    bool ours = queue->length == usual + RAISE_BY;

    if (ours) {
        queue->length = usual;
    }
    if (raise_is_note(queue->alias, usual)) {
        queue->alias[0] = '\0';
    }
    return ours;
}

bool raise_down(Raise *self, uint64_t *lost)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *command =
        raise_command(tap_ifname(self->tap), self->usual);
    uint32_t usual = self->usual;
    LinkQueue queue;
    Reading reading;
    bool ours;

    *lost = 0;
    if (usual == 0) {
        return true;
    }
    reading = raise_read(self, &queue);
    if (reading == READ_BUSY) {
        return false;
    }
    self->usual = 0;
    if (reading == READ_FAILED) {
        log_warning("tap", "%s: txqueuelen can not be read; %s puts it back",
                    tap_ifname(self->tap), command);
        return true;
    }
    ours = raise_undo(&queue, usual);
    if (!raise_set(self, &queue, lost, &error)) {
        log_warning("tap", "%s: %s to %u again; %s does it",
                    tap_ifname(self->tap), error->message, usual, command);
    } else if (ours) {
        log_info("tap", "%s: txqueuelen is %u again", tap_ifname(self->tap),
                 usual);
    } else {
        log_info("tap",
                 "%s: somebody else has set txqueuelen to %u; so it stays",
                 tap_ifname(self->tap), queue.length);
    }
    return true;
}

void raise_leave(Raise *self)
{
    if (raise_is_up(self)) {
        g_autofree char *command =
            raise_command(tap_ifname(self->tap), self->usual);

        log_warning("tap",
                    "%s: txqueuelen stays %u: to change it now would cost "
                    "frames; %s puts it back",
                    tap_ifname(self->tap), self->usual + RAISE_BY, command);
        self->usual = 0;
    }
}

static void raise_leave_behind(const Raise *self)
{
    g_autofree char *command = raise_command("NAME", self->usual);
    LinkQueue queue;

    if (link_read_queue(self->ifindex, &queue)) {
        if (raise_undo(&queue, self->usual) &&
            link_set_queue(self->ifindex, &queue, NULL)) {
            log_info("tap", "%s, as it was named: txqueuelen is %u again",
                     tap_ifname(self->tap), self->usual);
        }
    } else {
        log_info("tap",
                 "%s: it had a raised txqueuelen; if it was moved to another "
                 "namespace %s puts it back there",
                 tap_ifname(self->tap), command);
    }
}

void raise_renew(Raise *self)
{
    if (raise_is_up(self)) {
        raise_leave_behind(self);
    }
    self->usual = 0;
    self->failed = false;
    raise_adopt(self);
}
