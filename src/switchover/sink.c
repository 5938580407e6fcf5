/* SPDX-License-Identifier: BSD-2-Clause */
#include "switchover/sink.h"

#include "base/log.h"
#include "base/loop.h"
#include "netdev/injector.h"
#include "switchover/arrivals.h"
#include "switchover/flood.h"
#include "switchover/incoming.h"
#include "switchover/witness.h"

/* How long after the last frame from the link @flood stays on, once the VM
 * runs.
 */
#define FLOOD_LINGER_US 60000000
/* How long the network is observed before the TAP's queue is raised, and
 * between two attempts. */
#define RAISE_LOOK_US 20000
#define RAISE_RETRY_US 1000000

struct Sink {
    SinkConfig config;
    const SinkListener *link; /* sink_listen(), or NULL */
    void *link_opaque;
    Injector *injector;
    Flood *flood; /* NULL: no dedup */
    Arrivals *arrivals;
    uint64_t found; /* so many of the next frames the source has found in its
                       TAP's queue */
    ShortfallFound all_found; /* what it has reported of them */
    Shortfall shortfall;
    LoopTimer quiet; /* set while it may look and need not any more */
    Incoming *incoming;
    bool source_tells; /* sink_set_source_tells() */
    Witness *witness;
    Vm *vm;
    VmListener listener;
    bool on, when_stopped; /* sink_set_on() */
    bool full;             /* sink_is_full() when it was last fed */
    bool stood;            /* the VM was seen stopped, so it may resume here */
    bool ran;              /* it has been running here */
    LoopTimer raiser;      /* set while the TAP's queue is to be raised */
    uint64_t length_cost;  /* frames of the network lost when the queue's length
                              was restored, the VM running */
    Account account;
    SwitchoverRecord record;
};

static bool sink_may_inject(const Sink *self)
{
    return self->on &&
           (self->when_stopped || (self->vm->known && self->vm->running));
}

static const PacketQueue *sink_queue(const Sink *self)
{
    return injector_queue(self->injector);
}

static void sink_set_phase(Sink *self, SwitchoverPhase phase)
{
    switchover_set_phase(&self->record, self->config.name, phase);
    witness_update(self->witness);
}

/* The phase that follows from what is held and whether it may go on. */
static void sink_update_phase(Sink *self)
{
    bool held = packet_queue_count(sink_queue(self)) > 0;
    SwitchoverPhase phase = self->record.phase;

    if (!sink_may_inject(self)) {
        phase = held ? SWITCHOVER_HOLDING : phase;
    } else if (phase == SWITCHOVER_HOLDING && held) {
        phase = SWITCHOVER_RELEASING;
    } else if (!held &&
               (phase == SWITCHOVER_HOLDING || phase == SWITCHOVER_RELEASING)) {
        phase = SWITCHOVER_PASSING;
    }
    sink_set_phase(self, phase);
}

bool sink_is_full(const Sink *self)
{
    return packet_queue_size(sink_queue(self)) >= self->config.hold_size;
}

/* Switches @flood on, and off FLOOD_LINGER_US later once the VM runs. */
static void sink_watch_flood(Sink *self)
{
    bool guest_runs = self->vm != vm_daemon() && self->vm->running;

    flood_set_running(self->flood, self->vm->known && self->vm->running);
    flood_set_on(self->flood, self->on);
    if (guest_runs) {
        loop_timer_set(&self->quiet, FLOOD_LINGER_US);
    } else {
        loop_timer_cancel(&self->quiet);
    }
}

/* The VM has not run here yet, and is expected to. */
static bool sink_awaits_vm(const Sink *self)
{
    return self->vm->known && !self->vm->running && !self->ran &&
           self->vm->state != VM_STATE_GONE;
}

static void sink_update_incoming(Sink *self)
{
    incoming_update(self->incoming,
                    self->on && !self->when_stopped && sink_awaits_vm(self),
                    self->source_tells);
}

void sink_set_source_tells(Sink *self, bool tells)
{
    self->source_tells = tells;
    sink_update_incoming(self);
}

void sink_hear(Sink *self, const uint8_t *body, size_t len)
{
    incoming_hear(self->incoming, body, len);
}

static void sink_quiet(void *opaque)
{
    Sink *self = opaque;

    flood_set_on(self->flood, false);
}

void sink_place(Sink *self, const ShortfallPlace *place, uint64_t came)
{
    if (place->full) {
        arrivals_place(self->arrivals, came);
    }
    shortfall_begin(&self->shortfall, place, came);
}

void sink_follow(Sink *self)
{
    arrivals_follow(self->arrivals);
    shortfall_follow(&self->shortfall);
    self->found = 0;
}

void sink_pieces(Sink *self, uint64_t n)
{
    shortfall_pieces(&self->shortfall, n);
}

static void sink_found_all(Sink *self)
{
    self->all_found.aligned =
        arrivals_in_front(self->arrivals, &self->all_found.front);
    if (shortfall_found(&self->shortfall, &self->all_found) && self->link) {
        self->link->missing(self->link_opaque);
    }
}

void sink_found(Sink *self, uint64_t n, const ShortfallFound *found)
{
    arrivals_end_queue(self->arrivals, n);
    self->found = MAX(self->found, n);
    self->all_found = *found;
    if (self->found == 0) {
        sink_found_all(self);
    }
}

const Shortfall *sink_shortfall(const Sink *self)
{
    return &self->shortfall;
}

static void sink_forget_sources(Sink *self)
{
    arrivals_forget(self->arrivals);
    shortfall_clear(&self->shortfall);
    self->found = 0;
}

void sink_receive(Sink *self, const PacketBatch *batch)
{
    flood_look(self->flood);
    sink_watch_flood(self);
    for (unsigned i = 0; i < batch->n; i++) {
        if (self->vm->state == VM_STATE_GONE) {
            /* The VMM has exited. */
            counter_add(&self->account.discarded, 1, batch->packets[i].len);
        } else {
            bool new = arrivals_take(self->arrivals, &batch->packets[i],
                                     self->found > 0);

            shortfall_came(&self->shortfall, new);
        }
        if (self->found > 0 && --self->found == 0) {
            sink_found_all(self);
        }
    }
    sink_update_phase(self);
    record_received(&self->record, batch->n, arrivals_waiting(self->arrivals));
    arrivals_run(self->arrivals);
    sink_update_phase(self);
    self->full = sink_is_full(self);
}

static void sink_injected(void *opaque, const PacketRecord *record)
{
    Sink *self = opaque;

    arrivals_left(self->arrivals, record);
    counter_add(&self->account.out_netdev, 1, record->len);
    record_injected(&self->record, record);
    if (self->link) {
        self->link->settled(self->link_opaque);
    }
}

static void sink_passed(void *opaque, const Packet *packets, unsigned n)
{
    Sink *self = opaque;

    for (unsigned i = 0; i < n; i++) {
        counter_add(&self->account.out_netdev, 1, packets[i].len);
    }
    record_passed(&self->record, packets, n);
}

static void sink_refused(void *opaque, const PacketRecord *record,
                         InjectResult why)
{
    Sink *self = opaque;

    arrivals_left(self->arrivals, record);
    counter_add(why == INJECT_OVERSIZE ? &self->account.dropped[DROP_OVERSIZE]
                                       : &self->account.dropped[DROP_INJECT],
                1, record->len);
}

static void sink_round_done(void *opaque)
{
    Sink *self = opaque;

    record_waiting(&self->record, arrivals_waiting(self->arrivals));
    sink_update_phase(self);
    if (self->link) {
        self->link->moved(self->link_opaque);
    }
    if (self->full && !sink_is_full(self)) {
        self->full = false;
        self->config.room(self->config.opaque);
    }
}

static void sink_counted(void *opaque, uint64_t accepted, uint64_t refused)
{
    Sink *self = opaque;

    flood_ignore_dropped(self->flood, refused);
    witness_refused(self->witness, refused);
}

static void sink_raised(void *opaque, uint64_t lost)
{
    Sink *self = opaque;

    flood_ignore_dropped(self->flood, lost);
    /* Otherwise the VM runs at the source, and gets its unicast frames there.
     */
    self->length_cost += self->vm->running ? lost : 0;
}

static const InjectorHandlers sink_injector_handlers = {
    .injected = sink_injected,
    .passed = sink_passed,
    .refused = sink_refused,
    .round_done = sink_round_done,
    .counted = sink_counted,
    .raised = sink_raised,
};

static void sink_discard(Sink *self, const char *why)
{
    Counter waiting = arrivals_waiting(self->arrivals);

    if (waiting.packets == 0) {
        return;
    }
    log_warning("switchover",
                "%s: %s: %" G_GUINT64_FORMAT
                " frames that were held for it are discarded",
                self->config.name, why, waiting.packets);
    counter_add(&self->account.discarded, waiting.packets, waiting.bytes);
    arrivals_clear(self->arrivals);
    sink_set_phase(self, SWITCHOVER_DISCARDED);
    sink_round_done(self);
}

void sink_listen(Sink *self, const SinkListener *listener, void *opaque)
{
    self->link = listener;
    self->link_opaque = opaque;
}

uint64_t sink_unsettled(const Sink *self)
{
    return arrivals_unsettled(self->arrivals);
}

void sink_take_part(Sink *self)
{
    if (self->record.phase == SWITCHOVER_IDLE && sink_may_inject(self)) {
        sink_set_phase(self, SWITCHOVER_PASSING);
    }
}

void sink_cancel(Sink *self)
{
    flood_cancelled(self->flood);
    sink_forget_sources(self);
    incoming_cancel(self->incoming);
    if (!sink_may_inject(self)) {
        sink_discard(self, "the VM runs at the source again");
    }
}

/* The TAP's queue */

/* A migration may bring the VM, so that frames may have to wait for it. */
static bool sink_expects_vm(const Sink *self)
{
    return self->config.raise_queue && sink_awaits_vm(self) &&
           self->vm->migration != VM_MIGRATION_NONE;
}

/* While the length changes the kernel drops what the network sends into the
 * TAP. That does no harm before the VM stops at the source, which gets these
 * frames, too; except unicast frames that the network already sends here. */
static void sink_raise(void *opaque)
{
    Sink *self = opaque;

    if (sink_expects_vm(self) && packet_queue_count(sink_queue(self)) == 0 &&
        (witness_sees_unicast(self->witness) ||
         !injector_raise(self->injector))) {
        loop_timer_set(&self->raiser, RAISE_RETRY_US);
    }
}

static void sink_plan_raise(Sink *self)
{
    self->ran =
        self->vm->running || (self->ran && self->vm->state != VM_STATE_GONE);
    if (sink_expects_vm(self)) {
        loop_timer_set(&self->raiser, RAISE_LOOK_US);
    } else {
        loop_timer_cancel(&self->raiser);
        injector_lower(self->injector);
    }
}

static void sink_vm_event(void *opaque, VmEvent event, int64_t time_us)
{
    Sink *self = opaque;

    sink_plan_raise(self);
    if (event == VM_EVENT_GONE) {
        sink_forget_sources(self);
        incoming_gone(self->incoming);
        sink_discard(self, "the VM is gone");
    } else if (event == VM_EVENT_RUN_STATE) {
        if (self->vm->running) {
            record_resume(&self->record, time_us);
            witness_resume(self->witness);
        } else {
            if (!self->stood) {
                sink_forget_sources(self); /* they were for another VM */
            }
            arrivals_flush(self->arrivals);
            self->record.stop_us = time_us;
        }
        sink_set_on(self, self->on, self->when_stopped);
        if (self->vm->running && self->stood &&
            self->record.phase == SWITCHOVER_IDLE) {
            /* It resumed here, and no frame had to wait for it. */
            sink_set_phase(self, SWITCHOVER_PASSING);
        }
        self->stood = !self->vm->running;
    } else {
        sink_update_incoming(self);
    }
}

void sink_set_on(Sink *self, bool on, bool when_stopped)
{
    self->on = on;
    self->when_stopped = when_stopped;
    sink_watch_flood(self);
    sink_update_incoming(self);
    sink_update_phase(self);
    injector_set_gate(self->injector, sink_may_inject(self));
}

Sink *sink_new(const SinkConfig *config, GError **errp)
{
    Sink *self = g_new0(Sink, 1);

    self->config = *config;
    self->vm = tap_netdev(config->tap)->vm;
    self->record.side = "destination";
    self->injector =
        injector_new(config->tap, &sink_injector_handlers, self, errp);
    if (!self->injector) {
        g_free(self);
        return NULL;
    }
    self->quiet = LOOP_TIMER_INIT;
    loop_timer_open(&self->quiet, sink_quiet, self);
    self->flood = config->dedup ? flood_new(config->tap, !config->vnet) : NULL;
    self->arrivals = arrivals_new(&(ArrivalsConfig){
        .flood = self->flood,
        .injector = self->injector,
        .duplicate = &self->account.duplicate,
        .moved = sink_round_done,
        .opaque = self,
    });
    self->incoming = incoming_new(&(IncomingConfig){
        .name = config->name,
        .tap = config->tap,
        .flood = self->flood,
        .injector = self->injector,
        .limit = config->hold_size,
    });
    self->witness =
        witness_new(config->tap, &self->record, sink_queue(self), self->flood);
    self->stood = self->vm->known && !self->vm->running;
    self->raiser = LOOP_TIMER_INIT;
    loop_timer_open(&self->raiser, sink_raise, self);
    if (config->raise_queue) {
        injector_allow_raise(self->injector);
        sink_plan_raise(self);
    }
    self->listener = (VmListener){sink_vm_event, self};
    vm_listen(self->vm, &self->listener);
    return self;
}

void sink_free(Sink *self)
{
    if (self) {
        vm_unlisten(self->vm, &self->listener);
        loop_timer_close(&self->quiet);
        loop_timer_close(&self->raiser);
        incoming_free(self->incoming);
        injector_free(self->injector);
        witness_free(self->witness);
        arrivals_free(self->arrivals);
        flood_free(self->flood);
        g_free(self);
    }
}

const char *sink_ifname(const Sink *self)
{
    return tap_ifname(self->config.tap);
}

void sink_add_account(const Sink *self, Account *account)
{
    account->out_netdev = self->account.out_netdev;
    account->duplicate = self->account.duplicate;
    account->discarded = self->account.discarded;
    account->held = arrivals_waiting(self->arrivals);
    for (unsigned i = 0; i < DROP__MAX; i++) {
        counter_add(&account->dropped[i], self->account.dropped[i].packets,
                    self->account.dropped[i].bytes);
    }
}

const SwitchoverRecord *sink_record(Sink *self)
{
    witness_measure(self->witness);
    return &self->record;
}

json_t *sink_incoming(const Sink *self)
{
    json_t *queue = incoming_to_json(self->incoming);

    json_object_set_new(queue, "lost",
                        json_integer((json_int_t)self->length_cost));
    return queue;
}
