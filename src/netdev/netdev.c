/* SPDX-License-Identifier: BSD-2-Clause */
#include "netdev/netdev.h"

#include "base/log.h"

#include <string.h>

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

/* To the peer, where no kernel delivers them. */
static void netdev_cross(Netdev *netdev, const PacketBatch *batch)
{
    PacketBatch copy;

    packet_batch_copy(&copy, batch);
    for (unsigned i = 0; i < copy.n; i++) {
        copy.packets[i].origin = ORIGIN_INJECTED;
    }
    netdev_receive(netdev->peer, DIRECTION_RX, &copy);
}

void netdev_deliver(Netdev *netdev, Direction direction,
                    const PacketBatch *batch)
{
    const NetdevClass *class = netdev_get_class(netdev);

    if (direction == DIRECTION_TX && netdev->peer) {
        netdev_cross(netdev, batch);
    }
    if (direction == DIRECTION_RX || class->has_guest) {
        for (unsigned i = 0; i < batch->n; i++) {
            class->deliver(netdev, direction, &batch->packets[i]);
        }
        if (class->flush) {
            class->flush(netdev);
        }
        return;
    }
    for (unsigned i = 0; i < batch->n && !netdev->peer; i++) {
        counter_add(&netdev->dropped, 1, batch->packets[i].len);
    }
}

static void netdev_update_observed(Netdev *netdev)
{
    const NetdevClass *class = netdev_get_class(netdev);

    Loop *before = loop_enter(netdev->loop);

    if (class->set_observed) {
        class->set_observed(netdev, netdev->filtered || netdev->peer,
                            netdev->peer ? NULL : netdev->match);
    }
    loop_leave(before);
}

void netdev_set_filtered(Netdev *netdev, bool filtered,
                         const struct sock_fprog *match)
{
    netdev->filtered = filtered;
    netdev->match = match;
    netdev_update_observed(netdev);
}

/* The netdev whose property peer is @id, or NULL; there is at most one. */
static Netdev *netdev_find_waiting(const char *id)
{
    GPtrArray *netdevs = object_list(OBJECT_KIND_NETDEV);

    for (guint i = 0; i < netdevs->len; i++) {
        Netdev *netdev = netdevs->pdata[i];

        if (g_strcmp0(netdev->peer_id, id) == 0) {
            return netdev;
        }
    }
    return NULL;
}

/* Sets *@peer to the netdev that @self is to be connected to, or to NULL. */
static bool netdev_find_peer(const Netdev *self, Netdev **peer, GError **errp)
{
    const char *id = self->object.id;
    Netdev *waiting = netdev_find_waiting(id);
    Netdev *named, *rival;

    *peer = waiting;
    if (!self->peer_id) {
        return true;
    }
    if (strcmp(self->peer_id, id) == 0) {
        return tf_error_set(errp, "netdev '%s' can not be its own peer", id);
    }
    named = netdev_find(self->peer_id);
    rival = netdev_find_waiting(self->peer_id);
    rival = named && named->peer ? named->peer : rival;
    if (rival) {
        return tf_error_set(errp, "netdev '%s' already has the peer '%s'",
                            self->peer_id, rival->object.id);
    }
    if (named && named->peer_id && strcmp(named->peer_id, id) != 0) {
        return tf_error_set(errp, "netdev '%s' has '%s' as its peer, not '%s'",
                            self->peer_id, named->peer_id, id);
    }
    if (waiting && waiting != named) {
        return tf_error_set(errp, "netdev '%s' waits for '%s' as its peer",
                            waiting->object.id, id);
    }
    *peer = named;
    return true;
}

bool netdev_check_loop(const Netdev *self, const Netdev *other, GError **errp)
{
    return self->loop == other->loop ||
           tf_error_set(errp,
                        "netdevs '%s' and '%s' must be on the same iothread",
                        self->object.id, other->object.id);
}

static void netdev_wire(Netdev *self, Netdev *peer)
{
    if (peer) {
        self->peer = peer;
        peer->peer = self;
        netdev_update_observed(self);
        netdev_update_observed(peer);
    } else if (self->peer_id) {
        log_info("netdev", "%s: its peer '%s' is not there yet",
                 self->object.id, self->peer_id);
    }
}

static void netdev_unwire(Netdev *self)
{
    Netdev *peer = self->peer;

    if (peer) {
        self->peer = NULL;
        peer->peer = NULL;
        netdev_update_observed(peer);
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
        return tf_error_set(
            errp,
            "Parameter 'vm' expects the id of a vm-qmp or vm-lines object");
    }
    self->vm = (Vm *)vm;
    return true;
}

static bool netdev_find_loop(Netdev *self, GError **errp)
{
    Object *obj;

    self->loop = loop_main();
    if (!self->iothread_id) {
        return true;
    }
    obj = object_find(OBJECT_KIND_OBJECT, self->iothread_id);
    self->iothread = obj ? iothread_from_object(obj) : NULL;
    if (!self->iothread) {
        return tf_error_set(
            errp, "Parameter 'iothread' expects the id of an iothread");
    }
    obj->users++;
    self->loop = iothread_loop(self->iothread);
    return true;
}

static bool netdev_open(Netdev *self, GError **errp)
{
    Loop *before = loop_enter(self->loop);
    bool ok = netdev_get_class(self)->open(self, errp);

    loop_leave(before);
    return ok;
}

static bool netdev_complete(Object *obj, GError **errp)
{
    Netdev *self = (Netdev *)obj;
    Netdev *peer;

    self->filters = g_ptr_array_new();
    if (!netdev_find_loop(self, errp) || !netdev_find_peer(self, &peer, errp) ||
        (peer && !netdev_check_loop(self, peer, errp)) ||
        !netdev_find_vm(self, errp)) {
        return false;
    }
    self->vm->object.users++;
    if (!netdev_open(self, errp)) {
        return false;
    }
    netdev_wire(self, peer);
    return true;
}

static void netdev_finalize(Object *obj)
{
    Netdev *self = (Netdev *)obj;
    Loop *before;

    netdev_unwire(self);
    if (self->vm) {
        before = loop_enter(self->loop);
        netdev_get_class(self)->close(self);
        loop_leave(before);
        self->vm->object.users--;
    }
    if (self->iothread) {
        ((Object *)self->iothread)->users--;
    }
    g_clear_pointer(&self->filters, g_ptr_array_unref);
}

static const Property netdev_props[] = {
    {.name = "vm",
     PROP_FIELD_STRING(Netdev, vm_id),
     .flags = PROP_FIXED,
     .since = "0.1",
     .doc = "whose run state counts: the id of a vm-qmp or vm-lines "
            "object; without it the daemon's own (stop, cont, -S)"},
    {.name = "peer",
     PROP_FIELD_STRING(Netdev, peer_id),
     .flags = PROP_FIXED,
     .since = "0.1",
     .doc = "id of the netdev that it is wired to back to back: what one "
            "sends the other receives; it may be made later"},
    {.name = "iothread",
     PROP_FIELD_STRING(Netdev, iothread_id),
     .flags = PROP_FIXED,
     .since = "0.1",
     .doc = "id of the iothread that handles its packets, those of its filters "
            "and of the chardevs they use; without it the main thread does"},
    {.name = "dropped-nic-packets",
     PROP_FIELD_UINT64(Netdev, dropped.packets),
     .flags = PROP_READ_ONLY,
     .since = "0.1",
     .doc = "frames that came out of an end that leads nowhere"},
    {.name = "dropped-network-packets",
     PROP_FIELD_UINT64(Netdev, unsent.packets),
     .flags = PROP_READ_ONLY,
     .since = "0.1",
     .doc = "frames that the network did not take: no peer, or too slow a one"},
    {.name = "malformed-packets",
     PROP_FIELD_UINT64(Netdev, malformed.packets),
     .flags = PROP_READ_ONLY,
     .since = "0.1",
     .doc = "frames from the network whose length can not be"},
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
