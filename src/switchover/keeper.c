/* SPDX-License-Identifier: BSD-2-Clause */
#include "switchover/keeper.h"

#include "base/log.h"
#include "base/loop.h"
#include "netdev/tun-fd.h"

#include <unistd.h>

/* Frames may come for ever, from a network that does not learn. */
#define KEEPER_LONGEST_US (30 * G_USEC_PER_SEC)

struct Keeper {
    const char *name;
    Tap *tap;
    Vm *vm;
    int64_t quiet_us;
    bool on;
    int fds[TUN_QUEUES_MAX];
    int n_fds;
    bool tried;      /* for this migration */
    bool gone;       /* the VMM is, until a VM runs here again */
    int64_t gone_us; /* since when; CLOCK_MONOTONIC */
    int64_t last_us; /* when the last frame came */
    LoopTimer timer; /* while the VMM is gone and its TAP is kept */
    VmListener vm_listener;
    TapListener tap_listener;
};

static void keeper_release(Keeper *self, const char *why)
{
    loop_timer_cancel(&self->timer);
    if (self->n_fds == 0) {
        return;
    }
    log_info("switchover", "%s: lets go of %s: %s", self->name,
             tap_ifname(self->tap), why);
    while (self->n_fds > 0) {
        close(self->fds[--self->n_fds]);
    }
}

static void keeper_take(Keeper *self)
{
    g_autoptr(GError) error = NULL;
    pid_t pid = vm_pid(self->vm);

    if (self->tried || pid <= 0) {
        return; /* no process is known: there is nothing to keep */
    }
    self->tried = true;
    self->n_fds = tun_fd_get(pid, tap_ifname(self->tap), self->fds,
                             TUN_QUEUES_MAX, &error);
    if (self->n_fds == 0) {
        log_warning("switchover",
                    "%s: frames that come when the VMM has ended will be lost: "
                    "%s can not be kept: %s",
                    self->name, tap_ifname(self->tap), error->message);
        return;
    }
    log_info("switchover", "%s: keeps %s (%d queue%s) when the VMM ends",
             self->name, tap_ifname(self->tap), self->n_fds,
             self->n_fds == 1 ? "" : "s");
}

/* Is it for a migration that the VM may be going to leave its TAP? */
static bool keeper_is_needed(const Keeper *self)
{
    const Vm *vm = self->vm;

    if (!self->on || self->gone || vm->migration == VM_MIGRATION_NONE) {
        return false;
    }
    return vm->migration != VM_MIGRATION_UNKNOWN || (vm->known && !vm->running);
}

static void keeper_update(Keeper *self)
{
    if (keeper_is_needed(self)) {
        keeper_take(self);
        return;
    }
    self->tried = false;
    if (!self->gone) {
        keeper_release(self, "the VM stays here");
    }
}

static void keeper_tick(void *opaque)
{
    Keeper *self = opaque;
    int64_t end = MIN(self->last_us + self->quiet_us,
                      self->gone_us + MAX(KEEPER_LONGEST_US, self->quiet_us));
    int64_t left = end - g_get_monotonic_time();

    if (left > 0) {
        loop_timer_set(&self->timer, (uint64_t)left);
    } else {
        keeper_release(self, "no frame comes any more");
    }
}

static void keeper_vmm_ended(Keeper *self)
{
    self->gone = true;
    if (self->vm->running) {
        keeper_release(self, "the VM has not moved");
    } else if (self->n_fds > 0) {
        self->gone_us = self->last_us = g_get_monotonic_time();
        loop_timer_set(&self->timer, (uint64_t)self->quiet_us);
    }
}

static void keeper_vm_event(void *opaque, VmEvent event, int64_t time_us)
{
    Keeper *self = opaque;

    if (event == VM_EVENT_GONE) {
        keeper_vmm_ended(self);
        return;
    }
    if (event == VM_EVENT_RUN_STATE && self->gone) {
        keeper_release(self, "there is another VMM");
    }
    self->gone = self->gone && !self->vm->running;
    keeper_update(self);
}

static void keeper_tap_changed(void *opaque, bool renewed)
{
    Keeper *self = opaque;

    if (renewed || (self->gone && !tap_is_up(self->tap))) {
        keeper_release(self, "it was taken away");
    }
}

void keeper_set_on(Keeper *self, bool on)
{
    if (self) {
        self->on = on;
        if (!on) {
            keeper_release(self, "the redirector is off");
        }
        keeper_update(self);
    }
}

void keeper_see(Keeper *self, const PacketBatch *batch)
{
    if (!self || !self->timer.armed) {
        return;
    }
    for (unsigned i = 0; i < batch->n; i++) {
        if (!packet_is_to_group(&batch->packets[i])) {
            self->last_us = g_get_monotonic_time();
            return;
        }
    }
}

Keeper *keeper_new(const char *name, Tap *tap, uint32_t quiet_ms)
{
    Keeper *self;

    if (quiet_ms == 0) {
        return NULL;
    }
    self = g_new0(Keeper, 1);
    self->name = name;
    self->tap = tap;
    self->vm = tap_netdev(tap)->vm;
    self->quiet_us = (int64_t)quiet_ms * 1000;
    loop_timer_open(&self->timer, keeper_tick, self);
    self->vm_listener = (VmListener){keeper_vm_event, self};
    vm_listen(self->vm, &self->vm_listener);
    self->tap_listener = (TapListener){keeper_tap_changed, self};
    tap_listen(tap, &self->tap_listener);
    return self;
}

void keeper_free(Keeper *self)
{
    if (self) {
        tap_unlisten(self->tap, &self->tap_listener);
        vm_unlisten(self->vm, &self->vm_listener);
        keeper_release(self, "the redirector is deleted");
        g_free(self);
    }
}
