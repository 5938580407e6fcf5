/* SPDX-License-Identifier: BSD-2-Clause */
#include "netdev/netdev.h"

Netdev *netdev_find(const char *id)
{
    return (Netdev *)object_find(OBJECT_KIND_NETDEV, id);
}

void netdev_receive(Netdev *netdev, Direction direction,
                    const PacketBatch *batch)
{
    if (netdev->chain) {
        netdev->chain(netdev, direction, batch);
    } else {
        netdev_deliver(netdev, direction, batch);
    }
}

void netdev_deliver(Netdev *netdev, Direction direction,
                    const PacketBatch *batch)
{
    const NetdevClass *class = netdev_get_class(netdev);
    bool to_nic = direction == DIRECTION_TX && !class->has_guest;

    for (unsigned i = 0; i < batch->n; i++) {
        if (to_nic) {
            counter_add(&netdev->dropped, 1, batch->packets[i].len);
        } else {
            class->deliver(netdev, direction, &batch->packets[i]);
        }
    }
    if (!to_nic && class->flush) {
        class->flush(netdev);
    }
}

static bool netdev_find_vm(Netdev *self, GError **errp)
{
    Object *vm;

    if (!self->vm_id) {
        self->vm = vm_daemon();
        return true;
    }
    vm = object_find(OBJECT_KIND_OBJECT, self->vm_id);
    if (!vm || !object_is_a(vm, &vm_class)) {
        return tf_error_set(errp,
                            "Parameter 'vm' expects the id of a vm-qmp object");
    }
    self->vm = (Vm *)vm;
    return true;
}

static bool netdev_complete(Object *obj, GError **errp)
{
    Netdev *self = (Netdev *)obj;

    self->filters = g_ptr_array_new();
    if (!netdev_find_vm(self, errp)) {
        return false;
    }
    self->vm->object.users++;
    return netdev_get_class(self)->open(self, errp);
}

static void netdev_finalize(Object *obj)
{
    Netdev *self = (Netdev *)obj;

    if (self->vm) {
        netdev_get_class(self)->close(self);
        self->vm->object.users--;
    }
    g_clear_pointer(&self->filters, g_ptr_array_unref);
}

static const Property netdev_props[] = {
    {.name = "vm",
     PROP_FIELD_STRING(Netdev, vm_id),
     .flags = PROP_FIXED,
     .since = "0.1",
     .doc = "whose run state counts: the id of a vm-qmp object; without it "
            "the daemon's own (stop, cont, -S)"},
    PROP_END,
};

const ObjectClass netdev_class = {
    .name = "netdev",
    .kind = OBJECT_KIND_NETDEV,
    .size = sizeof(Netdev),
    .props = netdev_props,
    .complete = netdev_complete,
    .finalize = netdev_finalize,
};
