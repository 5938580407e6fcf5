/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm-qmp: follows a virtual machine through its QMP monitor.
 *
 * Run state and migration come from query-status, query-migrate and events;
 * what the guest got from guest memory (vm-qmp-nic.c).
 */
#include "base/address.h"
#include "base/log.h"
#include "base/loop-thread.h"
#include "vm/vm-qmp-internal.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

/* How often a VM that stands still, and sends no MIGRATION events, is asked
 * whether it lives elsewhere by now. */
#define MIGRATE_ASK_US 500000

/* Run state and migration */

static void vm_qmp_migration_status(VmQmp *self, const char *status,
                                    int64_t time_us)
{
    VmMigration migration = VM_MIGRATION_ACTIVE;

    if (!status || !strcmp(status, "none") || !strcmp(status, "failed") ||
        !strcmp(status, "cancelled")) {
        migration = VM_MIGRATION_NONE;
    } else if (!strcmp(status, "completed")) {
        migration = VM_MIGRATION_COMPLETED;
    }
    vm_set_migration(&self->vm, migration, time_us);
}

static void vm_qmp_got_migrate(void *opaque, json_t *result)
{
    VmQmp *self = opaque;
    const char *status = json_string_value(json_object_get(result, "status"));

    /* Without events nothing else can be relied on: a migration may begin at
     * any time. */
    if (self->migration_events || !g_strcmp0(status, "completed")) {
        vm_qmp_migration_status(self, status, g_get_real_time());
    }
}

static void vm_qmp_ask_migrate(void *opaque)
{
    VmQmp *self = opaque;

    if (self->migration_events || self->vm.state != VM_STATE_STOPPED ||
        self->vm.migration == VM_MIGRATION_COMPLETED) {
        return;
    }
    if (qmp_client_is_ready(self->client)) {
        qmp_client_call(self->client, "query-migrate", NULL, vm_qmp_got_migrate,
                        self);
    }
    loop_timer_set(&self->migrate_ask, MIGRATE_ASK_US);
}

static void vm_qmp_set_running(VmQmp *self, bool running, int64_t time_us)
{
    vm_set_running(&self->vm, running, time_us);
    if (!self->migration_events && running) {
        vm_set_migration(&self->vm, VM_MIGRATION_UNKNOWN, time_us);
    } else if (!self->migration_events && !self->migrate_ask.armed) {
        loop_timer_set(&self->migrate_ask, MIGRATE_ASK_US);
    }
}

static void vm_qmp_got_capabilities(void *opaque, json_t *result)
{
    VmQmp *self = opaque;
    size_t i;
    json_t *entry;

    self->migration_events = false;
    json_array_foreach (result, i, entry) {
        const char *name =
            json_string_value(json_object_get(entry, "capability"));

        if (g_strcmp0(name, "events") == 0) {
            self->migration_events =
                json_is_true(json_object_get(entry, "state"));
        }
    }
    if (!self->migration_events) {
        vm_set_migration(&self->vm, VM_MIGRATION_UNKNOWN, g_get_real_time());
    } else {
        qmp_client_call(self->client, "query-migrate", NULL, vm_qmp_got_migrate,
                        self);
    }
}

static void vm_qmp_got_status(void *opaque, json_t *result)
{
    VmQmp *self = opaque;
    json_t *running = json_object_get(result, "running");

    if (!json_is_boolean(running)) {
        return;
    }
    log_info("vm-qmp", "%s: the VM is %s", self->vm.object.id,
             json_is_true(running) ? "running" : "stopped");
    self->vm.incoming =
        g_strcmp0(json_string_value(json_object_get(result, "status")),
                  "inmigrate") == 0;
    vm_qmp_set_running(self, json_is_true(running), g_get_real_time());
    vm_qmp_find_nics(self);
}

static void vm_qmp_drop_peer(VmQmp *self)
{
    loop_watch_remove(&self->exit);
    if (self->peer_fd >= 0) {
        close(self->peer_fd);
        self->peer_fd = -1;
    }
    vm_qmp_forget_nics(self);
    self->peer = 0;
}

static void vm_qmp_exited(void *opaque, uint32_t events)
{
    VmQmp *self = opaque;

    log_info("vm-qmp", "%s: process %d has ended", self->vm.object.id,
             (int)self->peer);
    vm_qmp_drop_peer(self);
    vm_set_gone(&self->vm, g_get_real_time());
}

/* The process behind the monitor: its memory is read, its end is noticed. */
static void vm_qmp_set_peer(VmQmp *self, pid_t pid)
{
    if (pid == self->peer) {
        return;
    }
    vm_qmp_drop_peer(self);
    self->peer = pid;
    self->peer_fd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    if (self->peer_fd >= 0) {
        loop_watch_add(&self->exit, self->peer_fd, EPOLLIN, vm_qmp_exited,
                       self);
    }
}

static void vm_qmp_ready(void *opaque)
{
    VmQmp *self = opaque;

    vm_qmp_set_peer(self, self->pid ? (pid_t)self->pid
                                    : qmp_client_peer_pid(self->client));
    qmp_client_call(self->client, "query-status", NULL, vm_qmp_got_status,
                    self);
    qmp_client_call(self->client, "query-migrate-capabilities", NULL,
                    vm_qmp_got_capabilities, self);
}

static void vm_qmp_event(void *opaque, const char *name, json_t *data,
                         int64_t time_us)
{
    VmQmp *self = opaque;

    if (!strcmp(name, "STOP")) {
        vm_qmp_set_running(self, false, time_us);
    } else if (!strcmp(name, "RESUME")) {
        vm_qmp_set_running(self, true, time_us);
        vm_qmp_find_nics(self);
    } else if (!strcmp(name, "SHUTDOWN")) {
        vm_set_gone(&self->vm, time_us);
    } else if (!strcmp(name, "RESET")) {
        vm_qmp_forget_nics(self);
        vm_qmp_find_nics(self);
    } else if (!strcmp(name, "MIGRATION")) {
        self->migration_events = true;
        vm_qmp_migration_status(
            self, json_string_value(json_object_get(data, "status")), time_us);
    }
}

/* A lost connection says nothing about the VM; the end of its process does. */
static const QmpClientHandlers vm_qmp_handlers = {
    .ready = vm_qmp_ready,
    .event = vm_qmp_event,
};

static pid_t vm_qmp_pid(const Vm *vm)
{
    return ((const VmQmp *)vm)->peer;
}

/* The object */

static bool vm_qmp_complete(Object *obj, GError **errp)
{
    VmQmp *self = (VmQmp *)obj;
    Address address;

    if (!address_parse(self->addr, &address, errp)) {
        return false;
    }
    self->nics = g_ptr_array_new();
    self->peer_fd = -1;
    self->exit = LOOP_WATCH_INIT;
    loop_timer_open(&self->migrate_ask, vm_qmp_ask_migrate, self);
    self->client = qmp_client_new(&address, obj->id, &vm_qmp_handlers, self);
    return true;
}

static void vm_qmp_finalize(Object *obj)
{
    VmQmp *self = (VmQmp *)obj;

    if (self->nics) {
        vm_qmp_drop_peer(self);
    }
    loop_timer_close(&self->migrate_ask);
    qmp_client_free(self->client);
    g_clear_pointer(&self->nics, g_ptr_array_unref);
    g_clear_pointer(&self->vm.listeners, g_ptr_array_unref);
}

static const Property vm_qmp_props[] = {
    {.name = "addr",
     PROP_FIELD_STRING(VmQmp, addr),
     .flags = PROP_REQUIRED | PROP_FIXED,
     .since = "0.1",
     .doc = "where the VM's QMP monitor listens: unix:PATH or tcp:HOST:PORT"},
    {.name = "pid",
     PROP_FIELD_UINT32(VmQmp, pid),
     .flags = PROP_FIXED,
     .since = "0.1",
     .doc = "the VMM's process, if it is not the one that listens on addr"},
    {.name = "device",
     PROP_FIELD_STRING(VmQmp, device),
     .flags = PROP_FIXED,
     .since = "0.1",
     .doc = "the NIC's id or QOM path, if the TAP's name does not tell"},
    PROP_END,
};

const VmClass vm_qmp_class = {
    .object =
        {
            .name = "vm-qmp",
            .parent = &vm_class,
            .kind = OBJECT_KIND_OBJECT,
            .size = sizeof(VmQmp),
            .props = vm_qmp_props,
            .doc = "follows a virtual machine through its QMP monitor",
            .complete = vm_qmp_complete,
            .finalize = vm_qmp_finalize,
        },
    .asks = true,
    .pid = vm_qmp_pid,
    .nic_added = vm_qmp_nic_added,
    .nic_removed = vm_qmp_nic_removed,
    .nic_used = vm_qmp_nic_used,
    .nic_used_lengths = vm_qmp_nic_used_lengths,
};
