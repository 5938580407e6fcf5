/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * filter-redirector: takes frames out of one place and puts them into another.
 *
 *   from   the chain, or in_netdev (what an interface's host sends toward the
 *          guest), to outdev, or on down the chain
 *   from   indev to out_netdev (into an interface, toward the guest), or on
 *          down the chain
 *
 * QEMU's filter of this name, with the endpoints of its AF_PACKET series. The
 * two ends of a switchover are its roles in_netdev -> outdev with
 * capture=undelivered (switchover/source.c) and indev -> out_netdev
 * (switchover/sink.c).
 */
#include "base/log.h"
#include "chardev/frame-reader.h"
#include "filter/account-stats.h"
#include "filter/chain.h"
#include "filter/redirector-ends.h"
#include "filter/redirector-internal.h"

#include <string.h>

/* Does the state of the VM allow it to ship and inject? */
static bool redirector_may_run(const Redirector *self)
{
    const Vm *vm = self->filter.netdev->vm;

    return self->filter.on &&
           (self->enable_when_stopped || !vm->known || vm->running);
}

/* outdev */

static void redirector_room(Filter *filter)
{
    Redirector *self = (Redirector *)filter;

    if (self->capture) {
        capture_pause(self->capture, false);
    }
}

static Verdict redirector_ship(Redirector *self, const Packet *packet)
{
    Verdict verdict = outdev_append(&self->out, packet);

    if (verdict == VERDICT_DROP_CAUSE(DROP_QUEUE_FULL) &&
        self->policy == FULL_BLOCK && self->capture) {
        /* Frames wait in the kernel from here on; this one is still taken. */
        capture_pause(self->capture, true);
        frame_writer_append_always(self->out.writer, packet);
        return VERDICT_CONSUMED;
    }
    return verdict;
}

/* The chain */

static Verdict redirector_packet(Filter *filter, Direction direction,
                                 const Packet *packet)
{
    Redirector *self = (Redirector *)filter;

    if (!self->out.writer || !redirector_may_run(self)) {
        return VERDICT_PASS;
    }
    return redirector_ship(self, packet);
}

static void redirector_batch_end(Filter *filter)
{
    Redirector *self = (Redirector *)filter;

    if (self->out.writer) {
        outdev_run(&self->out);
    }
}

static bool redirector_observes(const Filter *filter)
{
    return ((const Redirector *)filter)->out.writer;
}

/* in_netdev with capture=all */

/* Ships a captured frame. True if it goes into the chain instead. */
static bool redirector_take(Redirector *self, Direction direction,
                            const Packet *packet)
{
    Verdict verdict;

    if (!filter_matches(&self->filter, packet)) {
        return false;
    }
    counter_add(&self->account.in_netdev, 1, packet->len);
    counter_add(&self->filter.seen[direction], 1, packet->len);
    if (!self->out.writer) {
        return true;
    }
    verdict = redirector_ship(self, packet);
    if (verdict >= VERDICT_DROP) {
        filter_drop(&self->filter, (DropCause)(verdict - VERDICT_DROP), 1,
                    packet->len);
    }
    return false;
}

static void redirector_captured(void *opaque, Direction direction,
                                const PacketBatch *batch)
{
    Redirector *self = opaque;
    PacketBatch onward;

    if (!redirector_may_run(self)) {
        return;
    }
    onward.n = 0;
    for (unsigned i = 0; i < batch->n; i++) {
        if (redirector_take(self, direction, &batch->packets[i])) {
            Packet *packet = &onward.packets[onward.n++];

            *packet = batch->packets[i];
            /* On its own netdev the kernel delivers it; in the chain of another
             * one it is new. */
            if (tap_netdev(self->in_tap) != self->filter.netdev) {
                packet->origin = ORIGIN_INJECTED;
            }
        }
    }
    if (self->out.writer) {
        outdev_run(&self->out);
    } else if (onward.n > 0) {
        chain_resume(&self->filter, direction, &onward);
    }
}

static bool redirector_drops(void *opaque)
{
    const Redirector *self = opaque;

    return self->out.writer && self->policy == FULL_DROP_NEWEST &&
           frame_writer_is_full(self->out.writer);
}

static void redirector_capture_lost(void *opaque, unsigned queue, uint64_t n)
{
    Redirector *self = opaque;

    counter_add(&self->account.in_netdev, n, 0);
    filter_drop(&self->filter,
                redirector_drops(self) ? DROP_QUEUE_FULL : DROP_RING, n, 0);
}

static const CaptureHandlers redirector_capture_handlers = {
    .packets = redirector_captured,
    .lost = redirector_capture_lost,
    .drops = redirector_drops,
};

/* indev */

static void redirector_received(void *opaque, const PacketBatch *batch)
{
    Redirector *self = opaque;

    for (unsigned i = 0; i < batch->n; i++) {
        counter_add(&self->account.indev, 1, batch->packets[i].len);
    }
    if (self->sink) {
        sink_receive(self->sink, batch);
        if (sink_is_full(self->sink)) {
            frame_reader_pause(self->reader, true);
        }
        return;
    }
    /* As in QEMU: with queue=all it is injected in both directions. */
    if (self->filter.queue != FILTER_QUEUE_RX) {
        chain_resume(&self->filter, DIRECTION_TX, batch);
    }
    if (self->filter.queue != FILTER_QUEUE_TX) {
        chain_resume(&self->filter, DIRECTION_RX, batch);
    }
}

static void redirector_malformed(void *opaque, uint32_t len)
{
    Redirector *self = opaque;

    counter_add(&self->account.indev, 1, 0);
    filter_drop(&self->filter, DROP_OVERSIZE, 1, 0);
}

static const FrameReaderHandlers redirector_reader_handlers = {
    .packets = redirector_received,
    .malformed = redirector_malformed,
};

static void redirector_sink_room(void *opaque)
{
    Redirector *self = opaque;

    frame_reader_pause(self->reader, !self->filter.on);
}

/* Run state and status */

static void redirector_update(Redirector *self)
{
    if (self->source) {
        source_set_on(self->source, self->filter.on);
    }
    if (self->sink) {
        sink_set_on(self->sink, self->filter.on, self->enable_when_stopped);
    }
    if (self->reader) {
        bool wait = self->sink ? !self->filter.on || sink_is_full(self->sink)
                               : !redirector_may_run(self);

        frame_reader_pause(self->reader, wait);
    }
}

static void redirector_status_changed(Filter *filter)
{
    redirector_update((Redirector *)filter);
}

static bool redirector_property_changed(Filter *filter, const Property *row,
                                        GError **errp)
{
    if (strcmp(row->name, "enable_when_stopped") == 0) {
        redirector_update((Redirector *)filter);
    }
    return true;
}

static void redirector_vm_event(void *opaque, VmEvent event, int64_t time_us)
{
    Redirector *self = opaque;

    if (event == VM_EVENT_RUN_STATE && !self->source && !self->sink) {
        redirector_update(self);
    }
}

/* Set-up */

/* The tap @id, named by property @name. Counted as in use if it is not our own
 * netdev. */
static Tap *redirector_find_tap(Redirector *self, const char *name,
                                const char *id, GError **errp)
{
    Netdev *netdev = netdev_find(id);
    Tap *tap = netdev ? tap_from_netdev(netdev) : NULL;

    if (!tap) {
        tf_error_set(errp,
                     netdev ? "Parameter '%s' expects a netdev of type "
                              "tap, which '%s' is not"
                            : "Parameter '%s' expects the id of a "
                              "netdev; there is no '%s'",
                     name, id);
        return NULL;
    }
    if (!netdev_check_loop(self->filter.netdev, netdev, errp)) {
        return NULL;
    }
    if (netdev != self->filter.netdev) {
        netdev->object.users++;
        self->foreign = netdev;
    }
    return tap;
}

static bool redirector_open_source(Redirector *self, GError **errp)
{
    SourceConfig config = {
        .name = self->filter.object.id,
        .tap = self->in_tap,
        .chardev = self->outdev,
        .vnet_len = self->vnet_len,
        .send_queue_size = self->send_queue_size,
        .on_full = self->policy,
        .acknowledge = (LinkMode)self->acknowledge,
        .arm_always = self->arm == ARM_ALWAYS,
        .overlap = self->overlap,
        .keep_tap_ms = self->keep_tap_ms,
        .exact = &self->exact,
    };

    self->source = source_new(&config, errp);
    return self->source != NULL;
}

static bool redirector_open_outdev(Redirector *self, GError **errp)
{
    OutdevConfig config = {
        .chardev = self->outdev,
        .vnet_len = self->vnet_len,
        .limit = self->send_queue_size,
        .policy = self->policy,
    };

    self->out.room = redirector_room;
    return outdev_open(&self->out, &self->filter, &config, errp);
}

static bool redirector_open_sink(Redirector *self, GError **errp)
{
    SinkConfig config = {
        .name = self->filter.object.id,
        .tap = redirector_find_tap(self, "out_netdev", self->out_netdev, errp),
        .vnet = self->vnet_hdr_support,
        .dedup = self->dedup,
        .raise_queue = self->raise_queue,
        .hold_size = self->hold_size,
        .room = redirector_sink_room,
        .opaque = self,
    };

    self->sink = config.tap ? sink_new(&config, errp) : NULL;
    return self->sink != NULL;
}

static bool redirector_open_indev(Redirector *self, GError **errp)
{
    SinkLinkConfig config = {
        .name = self->filter.object.id,
        .chardev = self->indev,
        .vnet = self->vnet_hdr_support,
        .answers = self->sink && self->acknowledge != LINK_MODE_OFF,
        .sink = self->sink,
        .ifname = self->sink ? sink_ifname(self->sink) : NULL,
        .handlers = &redirector_reader_handlers,
        .opaque = self,
    };

    self->sink_link = sink_link_new(&config, errp);
    self->reader = sink_link_reader(self->sink_link);
    return self->reader || chardev_not_found("IN", errp);
}

static void redirector_match_changed(Filter *filter)
{
    const Redirector *self = (const Redirector *)filter;

    if (self->capture) {
        capture_set_match(self->capture, filter_match_program(filter));
    }
}

static bool redirector_open(Redirector *self, GError **errp)
{
    if (self->in_netdev) {
        self->in_tap =
            redirector_find_tap(self, "in_netdev", self->in_netdev, errp);
        if (!self->in_tap) {
            return false;
        }
        self->filter.aside = true;
    }
    if (self->out_netdev && !redirector_open_sink(self, errp)) {
        return false;
    }
    if (self->indev && !redirector_open_indev(self, errp)) {
        return false;
    }
    if (self->capture_mode == CAPTURE_UNDELIVERED) {
        return redirector_open_source(self, errp) ||
               chardev_not_found("OUT", errp);
    }
    if (self->outdev && !redirector_open_outdev(self, errp)) {
        return chardev_not_found("OUT", errp);
    }
    if (self->in_tap) {
        self->capture = tap_add_capture(
            self->in_tap, CAPTURE_TX, &redirector_capture_handlers, self, errp);
        if (self->capture) {
            redirector_match_changed(&self->filter);
        }
        return self->capture != NULL;
    }
    return true;
}

/* The ledger has to count every frame. */
static bool redirector_can_match(const Filter *filter, GError **errp)
{
    return ((const Redirector *)filter)->capture_mode != CAPTURE_UNDELIVERED ||
           tf_error_set(errp, "'bpf' can not be used with "
                              "'capture=undelivered'");
}

static bool redirector_setup(Filter *filter, GError **errp)
{
    Redirector *self = (Redirector *)filter;
    RedirectorEnds ends = {
        .indev = self->indev,
        .outdev = self->outdev,
        .in_netdev = self->in_netdev,
        .out_netdev = self->out_netdev,
        .undelivered = self->capture_mode == CAPTURE_UNDELIVERED,
    };

    self->policy = outdev_parse_policy(self->on_full,
                                       self->capture_mode == CAPTURE_UNDELIVERED
                                           ? FULL_BLOCK
                                           : FULL_DROP_NEWEST);
    if (!redirector_ends_check(&ends, errp) ||
        !outdev_vnet_len(self->vnet_hdr_support, self->vnet_hdr_len,
                         &self->vnet_len, errp) ||
        !redirector_open(self, errp)) {
        return false;
    }
    self->listener = (VmListener){redirector_vm_event, self};
    vm_listen(filter->netdev->vm, &self->listener);
    redirector_update(self);
    return true;
}

static void redirector_cleanup(Filter *filter)
{
    Redirector *self = (Redirector *)filter;

    if (self->listener.func) {
        vm_unlisten(filter->netdev->vm, &self->listener);
    }
    if (self->capture) {
        tap_remove_capture(self->in_tap, self->capture);
    }
    sink_link_free(self->sink_link);
    source_free(self->source);
    sink_free(self->sink);
    outdev_close(&self->out);
    if (self->foreign) {
        self->foreign->object.users--;
    }
}

/* Statistics */

static Account redirector_account(Redirector *self)
{
    Account account =
        self->source ? source_account(self->source) : self->account;

    account.indev = self->account.indev;
    if (self->out.writer) {
        account.outdev = self->out.sent;
        account.queued = frame_writer_waiting(self->out.writer);
    }
    if (self->sink) {
        sink_add_account(self->sink, &account);
    }
    for (unsigned i = 0; i < DROP__MAX; i++) {
        counter_add(&account.dropped[i], self->filter.dropped[i].packets,
                    self->filter.dropped[i].bytes);
    }
    return account;
}

static void redirector_stats(Filter *filter, json_t *counters)
{
    Account account = redirector_account((Redirector *)filter);

    account_add_stats(&account, counters);
}

/* NULL unless it took part in a switchover. */
static json_t *redirector_switchover(Filter *filter)
{
    Redirector *self = (Redirector *)filter;
    const SwitchoverRecord *record = self->source ? source_record(self->source)
                                     : self->sink ? sink_record(self->sink)
                                                  : NULL;
    Account account = redirector_account(self);
    json_t *entry;

    if (!record || !record->took_part) {
        return NULL;
    }
    entry = switchover_to_json(record, filter->object.id);
    account_add_switchover(&account, self->source != NULL, entry);
    json_object_set_new(entry, "link",
                        self->source ? source_link(self->source)
                                     : sink_link_to_json(self->sink_link));
    if (self->sink) {
        json_object_set_new(entry, "tap-queue", sink_incoming(self->sink));
    }
    return entry;
}

const FilterClass filter_redirector_class = {
    .object =
        {
            .name = "filter-redirector",
            .parent = &filter_class,
            .kind = OBJECT_KIND_OBJECT,
            .size = sizeof(Redirector),
            .props = redirector_props,
            .doc = "takes frames out of a chain, an interface or a chardev and "
                   "puts them into another",
        },
    .setup = redirector_setup,
    .cleanup = redirector_cleanup,
    .packet = redirector_packet,
    .batch_end = redirector_batch_end,
    .status_changed = redirector_status_changed,
    .property_changed = redirector_property_changed,
    .can_match = redirector_can_match,
    .match_changed = redirector_match_changed,
    .observes = redirector_observes,
    .stats = redirector_stats,
    .switchover = redirector_switchover,
};
