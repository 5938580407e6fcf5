/* SPDX-License-Identifier: BSD-2-Clause */
#include "vm/vm.h"

/* The order of VmState and of VmMigration. */
static const char *const state_words[] = {"unknown", "running", "stopped",
                                          "gone", NULL};
static const char *const migration_words[] = {"unknown", "none", "active",
                                              "completed", NULL};

static const Property vm_props[] = {
    {.name = "state",
     PROP_FIELD_ENUM(Vm, state),
     .flags = PROP_READ_ONLY,
     .enum_name = "VmState",
     .values = state_words,
     .since = "0.1",
     .doc = "what the virtual machine does"},
    {.name = "migration",
     PROP_FIELD_ENUM(Vm, migration),
     .flags = PROP_READ_ONLY,
     .enum_name = "VmMigration",
     .values = migration_words,
     .since = "0.1",
     .doc = "how far its migration to another host is; unknown where nothing "
            "tells"},
    PROP_END,
};

const ObjectClass vm_class = {
    .name = "vm",
    .kind = OBJECT_KIND_OBJECT,
    .size = sizeof(Vm),
    .props = vm_props,
};

static const VmClass vm_daemon_class = {
    .object =
        {
            .name = "vm-daemon",
            .parent = &vm_class,
            .kind = OBJECT_KIND_OBJECT,
            .size = sizeof(Vm),
        },
};

Vm *vm_daemon(void)
{
    static Vm vm = {
        .object = {.class = &vm_daemon_class.object, .completed = true},
        .known = true,
        .running = true,
        .migration = VM_MIGRATION_UNKNOWN,
    };

    return &vm;
}

static const VmClass *vm_get_class(const Vm *vm)
{
    return (const VmClass *)vm->object.class;
}

pid_t vm_pid(const Vm *vm)
{
    const VmClass *class = vm_get_class(vm);

    return class->pid ? class->pid(vm) : 0;
}

bool vm_may_stand(const Vm *vm)
{
    return !vm->known && vm_get_class(vm)->asks;
}

void vm_listen(Vm *vm, VmListener *listener)
{
    if (!vm->listeners) {
        vm->listeners = g_ptr_array_new();
    }
    listener->loop = loop_current();
    g_ptr_array_add(vm->listeners, listener);
}

void vm_unlisten(Vm *vm, VmListener *listener)
{
    if (vm->listeners) {
        g_ptr_array_remove(vm->listeners, listener);
        if (vm->listeners->len == 0) {
            g_clear_pointer(&vm->listeners, g_ptr_array_unref);
        }
    }
}

static void vm_tell(Vm *vm, VmEvent event, int64_t time_us)
{
    g_autoptr(GPtrArray) listeners = NULL;

    if (!vm->listeners) {
        return;
    }
    /* A listener may take itself out while it is told. */
    listeners = g_ptr_array_copy(vm->listeners, NULL, NULL);
    for (guint i = 0; i < listeners->len; i++) {
        VmListener *listener = listeners->pdata[i];

        if (vm->listeners && g_ptr_array_find(vm->listeners, listener, NULL)) {
            Loop *before = loop_enter(listener->loop);

            listener->func(listener->opaque, event, time_us);
            loop_leave(before);
        }
    }
}

void vm_set_running(Vm *vm, bool running, int64_t time_us)
{
    bool back = vm->state == VM_STATE_GONE;

    vm->state = running ? VM_STATE_RUNNING : VM_STATE_STOPPED;
    vm->incoming = vm->incoming && !running;
    if (vm->known && vm->running == running && !back) {
        return;
    }
    vm->known = true;
    vm->running = running;
    vm_tell(vm, VM_EVENT_RUN_STATE, time_us);
}

void vm_set_migration(Vm *vm, VmMigration migration, int64_t time_us)
{
    if (vm->migration != (int)migration) {
        vm->migration = migration;
        vm_tell(vm, VM_EVENT_MIGRATION, time_us);
    }
}

void vm_set_gone(Vm *vm, int64_t time_us)
{
    vm->state = VM_STATE_GONE;
    vm_tell(vm, VM_EVENT_GONE, time_us);
}

VmNic *vm_nic_new(Vm *vm, const char *ifname)
{
    VmNic *nic = g_new0(VmNic, 1);

    nic->vm = vm;
    nic->ifname = g_strdup(ifname);
    if (vm_get_class(vm)->nic_added) {
        vm_get_class(vm)->nic_added(vm, nic);
    }
    return nic;
}

void vm_nic_free(VmNic *nic)
{
    if (!nic) {
        return;
    }
    if (vm_get_class(nic->vm)->nic_removed) {
        vm_get_class(nic->vm)->nic_removed(nic->vm, nic);
    }
    g_free(nic->ifname);
    g_free(nic);
}

unsigned vm_nic_used(VmNic *nic, uint16_t *used)
{
    const VmClass *class = vm_get_class(nic->vm);

    return class->nic_used ? class->nic_used(nic->vm, nic, used) : 0;
}

bool vm_nic_used_lengths(VmNic *nic, unsigned queue, uint16_t first, uint16_t n,
                         uint32_t lengths[VM_RING_MAX])
{
    return vm_get_class(nic->vm)->nic_used_lengths(nic, queue, first, n,
                                                   lengths);
}
