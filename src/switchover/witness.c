/* SPDX-License-Identifier: BSD-2-Clause */
#include "switchover/witness.h"

#include "base/loop.h"

/* How long it goes on observing when nothing is held any more. */
#define LINGER_US 1000000
/* A network that has learned where the VM is sends it a frame within this time,
 * if there is any traffic that could be lost. */
#define UNICAST_US 100000

struct Witness {
    Tap *tap;
    SwitchoverRecord *record;
    const PacketQueue *queue;
    Flood *flood;     /* or NULL */
    Capture *capture; /* without it */
    bool looking;
    int64_t unicast_us; /* when a unicast frame came for the stopped VM
                           (monotonic) */
    LoopTimer timer;
    bool measuring;       /* from the resume until it stops observing */
    uint64_t drops_start; /* tx_dropped at the resume */
    uint64_t refused;     /* injected frames dropped since */
};

static void witness_see(void *opaque, const PacketBatch *batch)
{
    Witness *self = opaque;
    const Vm *vm = tap_netdev(self->tap)->vm;

    if (!self->looking) {
        return;
    }
    for (unsigned i = 0; i < batch->n && !vm->running; i++) {
        if (!packet_is_to_group(&batch->packets[i])) {
            self->unicast_us = g_get_monotonic_time();
        }
    }
    record_live(self->record, batch, vm->known && vm->running,
                packet_queue_count(self->queue));
}

static void witness_packets(void *opaque, Direction direction,
                            const PacketBatch *batch)
{
    witness_see(opaque, batch);
}

/* Losses are not recorded; the ledger does not depend on this. */
static const CaptureHandlers witness_handlers = {
    .packets = witness_packets,
};

void witness_resume(Witness *self)
{
    LinkCounters counters;

    self->refused = 0;
    self->measuring = self->looking && tap_read_counters(self->tap, &counters);
    self->drops_start = self->measuring ? counters.tx_dropped : 0;
}

void witness_refused(Witness *self, uint64_t n)
{
    self->refused += n;
}

void witness_measure(Witness *self)
{
    LinkCounters counters;

    if (self->measuring && tap_read_counters(self->tap, &counters)) {
        uint64_t drops = counters.tx_dropped - self->drops_start;

        self->record->turned_away = drops - MIN(drops, self->refused);
    }
}

static void witness_stop(void *opaque)
{
    Witness *self = opaque;

    witness_measure(self);
    self->measuring = self->looking = false;
    if (self->capture) {
        capture_drain(self->capture);
        tap_remove_capture(self->tap, self->capture);
        self->capture = NULL;
    }
}

static void witness_start(Witness *self)
{
    if (!self->looking && !self->flood) {
        self->capture = tap_add_capture(self->tap, CAPTURE_TX,
                                        &witness_handlers, self, NULL);
    }
    self->looking = true;
}

bool witness_sees_unicast(Witness *self)
{
    if (self->capture) {
        capture_drain(self->capture);
    } else {
        flood_look(self->flood);
    }
    return self->unicast_us > 0 &&
           g_get_monotonic_time() - self->unicast_us < UNICAST_US;
}

void witness_update(Witness *self)
{
    const Vm *vm = tap_netdev(self->tap)->vm;
    SwitchoverPhase phase = self->record->phase;

    /* Started before the first frame: opening a capture takes some time. */
    if (phase == SWITCHOVER_IDLE && vm->known && !vm->running) {
        phase = SWITCHOVER_HOLDING;
    }
    switch ((int)phase) {
    case SWITCHOVER_HOLDING:
    case SWITCHOVER_RELEASING:
        loop_timer_cancel(&self->timer);
        witness_start(self);
        break;
    case SWITCHOVER_PASSING:
        if (self->looking && !self->timer.armed) {
            loop_timer_set(&self->timer, LINGER_US);
        }
        break;
    default:
        witness_stop(self);
    }
}

Witness *witness_new(Tap *tap, SwitchoverRecord *record,
                     const PacketQueue *queue, Flood *flood)
{
    Witness *self = g_new0(Witness, 1);

    self->tap = tap;
    self->record = record;
    self->queue = queue;
    self->flood = flood;
    flood_listen(flood, witness_see, self);
    self->timer = LOOP_TIMER_INIT;
    loop_timer_open(&self->timer, witness_stop, self);
    return self;
}

void witness_free(Witness *self)
{
    if (self) {
        flood_listen(self->flood, NULL, NULL);
        loop_timer_close(&self->timer);
        if (self->capture) {
            tap_remove_capture(self->tap, self->capture);
        }
        g_free(self);
    }
}
