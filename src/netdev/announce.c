/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * announce: tells the network that a VM runs here now.
 *
 * When the VM of a tap begins to run, frames that name its MAC and addresses
 * go out, at once and a few times more, at QEMU's pace (its announce-rounds,
 * -initial, -max, -step). They must enter the bridge by the TAP's port, as if
 * the guest had sent them, which a packet socket on the TAP can't do; so they
 * are written to the VMM's own descriptor of the TAP (tun-fd.h), which is kept
 * for just that time. It ends early when the VM stops or goes.
 *
 * Where the VM does not tell the VMM's process, all are searched for one that
 * has the TAP open: one a turn of the loop, so that nothing else waits.
 */
#include "base/log.h"
#include "base/loop.h"
#include "netdev/tap.h"
#include "netdev/tun-fd.h"
#include "wire/announce-frame.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* More bytes than any virtio-net header has. */
#define HEADER_MAX 64

typedef struct AnnounceFrame {
    uint32_t len;
    uint8_t data[ANNOUNCE_FRAME_MAX];
} AnnounceFrame;

typedef struct Announce {
    Object object;
    /* properties */
    char *netdev_id, *mac, *ip;
    bool rarp, router;
    uint32_t vlan, rounds, initial, max, step;
    uint64_t sent, failed; /* frames */
    /* state */
    Tap *tap;
    Vm *vm;
    VmListener vm_listener;
    TapListener tap_listener;
    GArray *frames; /* AnnounceFrame */
    int fd;         /* -1: nothing is being announced */
    size_t header_len;
    uint32_t round; /* rounds done */
    LoopTimer start, timer;
    GDir *processes; /* the search under way */
    LoopTimer search;
} Announce;

/* Sending */

static void announce_end(Announce *self)
{
    loop_timer_cancel(&self->start);
    loop_timer_cancel(&self->timer);
    loop_timer_cancel(&self->search);
    g_clear_pointer(&self->processes, g_dir_close);
    if (self->fd >= 0) {
        close(self->fd);
        self->fd = -1;
    }
}

static bool announce_send(const Announce *self, const AnnounceFrame *frame)
{
    static const uint8_t header[HEADER_MAX]; /* a plain frame, no offloads */
    struct iovec iov[] = {
        {(void *)header, self->header_len},
        {(void *)frame->data, frame->len},
    };
    ssize_t n;

    /* The descriptor's flags are the VMM's; this loop waits for nobody. */
    n = pwritev2(self->fd, iov, G_N_ELEMENTS(iov), -1, RWF_NOWAIT);
    if (n < 0 && errno == EOPNOTSUPP) {
        n = writev(self->fd, iov, G_N_ELEMENTS(iov));
    }
    return n >= 0;
}

static void announce_round(void *opaque)
{
    Announce *self = opaque;
    uint32_t delay =
        MIN((uint64_t)self->initial + (uint64_t)self->round * self->step,
            self->max);

    for (guint i = 0; i < self->frames->len; i++) {
        if (announce_send(self,
                          &g_array_index(self->frames, AnnounceFrame, i))) {
            self->sent++;
        } else if (self->failed++ == 0) {
            log_warning("announce", "%s: can not send by %s: %s",
                        self->object.id, tap_ifname(self->tap),
                        g_strerror(errno));
        }
    }
    if (++self->round < self->rounds) {
        loop_timer_set(&self->timer, (uint64_t)delay * 1000);
    } else {
        announce_end(self);
    }
}

/* Begins if process @pid has the TAP open. */
static bool announce_try(Announce *self, pid_t pid)
{
    int fd, header_len;

    if (tun_fd_get(pid, tap_ifname(self->tap), &fd, 1, NULL) == 0) {
        return false;
    }
    header_len = tun_fd_vnet_hdr_len(fd);
    if (header_len < 0 || header_len > HEADER_MAX) {
        close(fd);
        return false;
    }
    self->fd = fd;
    self->header_len = (size_t)header_len;
    self->round = 0;
    log_info("announce", "%s: announces %s on %s through process %d",
             self->object.id, self->mac, tap_ifname(self->tap), (int)pid);
    announce_round(self);
    return true;
}

/* Looks at one process a round: there may be thousands. */
static void announce_search(void *opaque)
{
    Announce *self = opaque;
    const char *name = g_dir_read_name(self->processes);
    pid_t pid = name && g_ascii_isdigit(*name) ? atoi(name) : 0;

    if (name && (pid <= 0 || !announce_try(self, pid))) {
        loop_timer_set(&self->search, 0);
        return;
    }
    if (!name) {
        log_warning("announce",
                    "%s: does not announce %s: no process that can be looked "
                    "into has %s open (CAP_SYS_PTRACE is needed)",
                    self->object.id, self->mac, tap_ifname(self->tap));
    }
    g_clear_pointer(&self->processes, g_dir_close);
}

static void announce_start(void *opaque)
{
    Announce *self = opaque;
    pid_t pid = vm_pid(self->vm);

    if (pid > 0 && announce_try(self, pid)) {
        return;
    }
    self->processes = g_dir_open("/proc", 0, NULL);
    if (self->processes) {
        loop_timer_set(&self->search, 0);
    }
}

/* In the next round: what was held for the VM goes first, so that what the
 * network sends here from now on comes behind it. */
static void announce_begin(Announce *self)
{
    announce_end(self);
    if (self->rounds > 0) {
        loop_timer_set(&self->start, 0);
    }
}

static void announce_vm_event(void *opaque, VmEvent event, int64_t time_us)
{
    Announce *self = opaque;

    if (event == VM_EVENT_RUN_STATE && self->vm->running) {
        announce_begin(self);
    } else if (event != VM_EVENT_MIGRATION) {
        announce_end(self);
    }
}

static void announce_tap_changed(void *opaque, bool renewed)
{
    if (renewed) {
        announce_end(opaque);
    }
}

/* What to send */

/* "52:54:00:12:34:56"; a group's address is no NIC's. */
static bool announce_parse_mac(const char *text, uint8_t *mac)
{
    if (strlen(text) != 3 * ETH_ALEN - 1) {
        return false;
    }
    for (unsigned i = 0; i < ETH_ALEN; i++, text += 3) {
        int high = g_ascii_xdigit_value(text[0]);
        int low = g_ascii_xdigit_value(text[1]);

        if (high < 0 || low < 0 || (text[2] && text[2] != ':')) {
            return false;
        }
        mac[i] = (uint8_t)(high << 4 | low);
    }
    return !(mac[0] & 1);
}

static bool announce_add_ip(Announce *self, const AnnounceSender *sender,
                            const char *text)
{
    struct in_addr ip4;
    struct in6_addr ip6;
    AnnounceFrame frame;

    if (inet_pton(AF_INET, text, &ip4) == 1) {
        frame.len = (uint32_t)announce_arp(sender, &ip4, frame.data);
    } else if (inet_pton(AF_INET6, text, &ip6) == 1) {
        frame.len = (uint32_t)announce_na(sender, &ip6, frame.data);
    } else {
        return false;
    }
    g_array_append_val(self->frames, frame);
    return true;
}

static bool announce_add_ips(Announce *self, const AnnounceSender *sender,
                             GError **errp)
{
    g_auto(GStrv) ips = g_strsplit_set(self->ip ? self->ip : "", ", ", -1);

    for (char **ip = ips; *ip; ip++) {
        if (**ip && !announce_add_ip(self, sender, *ip)) {
            return tf_error_set(errp,
                                "Parameter 'ip' expects IPv4 and IPv6 "
                                "addresses with spaces between them, not '%s'",
                                *ip);
        }
    }
    return true;
}

static bool announce_make_frames(Announce *self, GError **errp)
{
    AnnounceSender sender = {
        .vlan = (uint16_t)self->vlan,
        .router = self->router,
    };

    if (!announce_parse_mac(self->mac, sender.mac)) {
        return tf_error_set(errp, "Parameter 'mac' expects the address of one "
                                  "NIC, like 52:54:00:12:34:56");
    }
    if (self->rarp) {
        AnnounceFrame frame;

        frame.len = (uint32_t)announce_rarp(&sender, frame.data);
        g_array_append_val(self->frames, frame);
    }
    if (!announce_add_ips(self, &sender, errp)) {
        return false;
    }
    return self->frames->len > 0 ||
           tf_error_set(errp, "nothing is announced; give 'ip', or "
                              "'rarp=on'");
}

/* The object */

static bool announce_complete(Object *obj, GError **errp)
{
    Announce *self = (Announce *)obj;
    Netdev *netdev = netdev_find(self->netdev_id);

    self->fd = -1;
    self->frames = g_array_new(FALSE, FALSE, sizeof(AnnounceFrame));
    loop_timer_open(&self->start, announce_start, self);
    loop_timer_open(&self->timer, announce_round, self);
    loop_timer_open(&self->search, announce_search, self);
    if (!announce_make_frames(self, errp)) {
        return false;
    }
    self->tap = netdev ? tap_from_netdev(netdev) : NULL;
    if (!self->tap) {
        return tf_error_set(errp, "Parameter 'netdev' expects the id of a tap");
    }
    netdev->object.users++;
    self->vm = netdev->vm;
    self->vm_listener = (VmListener){announce_vm_event, self};
    vm_listen(self->vm, &self->vm_listener);
    self->tap_listener = (TapListener){announce_tap_changed, self};
    tap_listen(self->tap, &self->tap_listener);
    return true;
}

static void announce_finalize(Object *obj)
{
    Announce *self = (Announce *)obj;

    announce_end(self);
    if (self->tap) {
        tap_unlisten(self->tap, &self->tap_listener);
        vm_unlisten(self->vm, &self->vm_listener);
        tap_netdev(self->tap)->object.users--;
    }
    g_array_unref(self->frames);
}

static const Property announce_props[] = {
    {.name = "netdev",
     PROP_FIELD_STRING(Announce, netdev_id),
     .flags = PROP_REQUIRED | PROP_FIXED,
     .since = "0.1",
     .doc = "id of the tap behind which the VM is"},
    {.name = "mac",
     PROP_FIELD_STRING(Announce, mac),
     .flags = PROP_REQUIRED | PROP_FIXED,
     .since = "0.1",
     .doc = "address of the VM's NIC"},
    {.name = "ip",
     PROP_FIELD_STRING(Announce, ip),
     .flags = PROP_FIXED,
     .since = "0.1",
     .doc = "the NIC's IPv4 and IPv6 addresses with spaces between them, to "
            "be announced by ARP and neighbour advertisements"},
    {.name = "vlan",
     PROP_FIELD_UINT32(Announce, vlan),
     .flags = PROP_FIXED,
     .max = 4094,
     .since = "0.1",
     .doc = "tag that the guest's frames carry; 0 for none"},
    {.name = "rarp",
     PROP_FIELD_BOOL(Announce, rarp),
     .flags = PROP_FIXED,
     .def = "on",
     .since = "0.1",
     .doc = "announce the MAC alone, too, as QEMU does"},
    {.name = "router",
     PROP_FIELD_BOOL(Announce, router),
     .flags = PROP_FIXED,
     .def = "off",
     .since = "0.1",
     .doc = "the guest is an IPv6 router: else its neighbours forget that"},
    {.name = "rounds",
     PROP_FIELD_UINT32(Announce, rounds),
     .def = "5",
     .max = 1000,
     .since = "0.1",
     .doc = "how often all of it is sent"},
    {.name = "initial",
     PROP_FIELD_UINT32(Announce, initial),
     .def = "50",
     .max = 100000,
     .since = "0.1",
     .doc = "milliseconds between the first round and the second"},
    {.name = "max",
     PROP_FIELD_UINT32(Announce, max),
     .def = "550",
     .max = 100000,
     .since = "0.1",
     .doc = "milliseconds between two rounds at most"},
    {.name = "step",
     PROP_FIELD_UINT32(Announce, step),
     .def = "100",
     .max = 10000,
     .since = "0.1",
     .doc = "milliseconds that each pause is longer than the one before"},
    {.name = "sent",
     PROP_FIELD_UINT64(Announce, sent),
     .flags = PROP_READ_ONLY,
     .since = "0.1",
     .doc = "frames sent"},
    {.name = "failed",
     PROP_FIELD_UINT64(Announce, failed),
     .flags = PROP_READ_ONLY,
     .since = "0.1",
     .doc = "frames that the TAP did not take"},
    PROP_END,
};

const ObjectClass announce_class = {
    .name = "announce",
    .kind = OBJECT_KIND_OBJECT,
    .order = OBJECT_ORDER_BEHIND_NETDEVS,
    .size = sizeof(Announce),
    .props = announce_props,
    .doc = "tells the network where a VM is when it begins to run behind a "
           "tap",
    .complete = announce_complete,
    .finalize = announce_finalize,
};
