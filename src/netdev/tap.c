/* SPDX-License-Identifier: BSD-2-Clause */
#include "netdev/tap.h"

#include "base/log.h"
#include "netdev/injector.h"

struct Tap {
    Netdev netdev;
    char *ifname;
    LinkWatch link;
    uint64_t link_changes;
    GPtrArray *captures;  /* Capture, freed by tap_remove_capture() */
    GPtrArray *injects;   /* InjectSocket, likewise */
    GPtrArray *listeners; /* TapListener, borrowed */
    Capture *observer;    /* for the chain; NULL: not observed */
    Injector *injector;   /* for frames that filters put into the chain */
};

extern const NetdevClass netdev_tap_class;

Tap *tap_from_netdev(Netdev *netdev)
{
    return object_is_a(&netdev->object, &netdev_tap_class.object)
               ? (Tap *)netdev
               : NULL;
}

Netdev *tap_netdev(Tap *self)
{
    return &self->netdev;
}

const char *tap_ifname(const Tap *self)
{
    return self->ifname;
}

int tap_ifindex(const Tap *self)
{
    return self->link.state.ifindex;
}

bool tap_is_up(const Tap *self)
{
    return self->link.state.ifindex > 0 && self->link.state.up;
}

bool tap_read_counters(const Tap *self, LinkCounters *counters)
{
    return self->link.state.ifindex > 0 &&
           link_read_counters(self->link.state.ifindex, counters);
}

uint32_t tap_queue_length(const Tap *self)
{
    return MAX(self->link.state.txqueuelen, 1);
}

bool tap_has_reader(const Tap *self)
{
    return self->link.state.ifindex > 0 && self->link.state.carrier;
}

bool tap_read_queue(const Tap *self, LinkQueue *queue)
{
    return self->link.state.ifindex > 0 &&
           link_read_queue(self->link.state.ifindex, queue);
}

bool tap_set_queue(Tap *self, const LinkQueue *queue, GError **errp)
{
    if (!link_set_queue(self->link.state.ifindex, queue, errp)) {
        return false;
    }
    self->link.state.txqueuelen = queue->length; /* before the news comes */
    return true;
}

bool tap_is_multi_queue(const Tap *self)
{
    return self->link.state.multi_queue;
}

Capture *tap_add_queue_capture(Tap *self, unsigned directions,
                               CaptureQueues queues,
                               const CaptureHandlers *handlers, void *opaque,
                               GError **errp)
{
    Capture *capture = capture_new(directions, queues, handlers, opaque);

    if (self->link.state.ifindex > 0 &&
        !capture_attach(capture, self->link.state.ifindex, errp)) {
        capture_free(capture);
        return NULL;
    }
    g_ptr_array_add(self->captures, capture);
    return capture;
}

Capture *tap_add_capture(Tap *self, unsigned directions,
                         const CaptureHandlers *handlers, void *opaque,
                         GError **errp)
{
    return tap_add_queue_capture(self, directions, CAPTURE_ALL_QUEUES, handlers,
                                 opaque, errp);
}

void tap_remove_capture(Tap *self, Capture *capture)
{
    if (capture && g_ptr_array_remove(self->captures, capture)) {
        capture_free(capture);
    }
}

InjectSocket *tap_add_inject(Tap *self, GError **errp)
{
    InjectSocket *inject = inject_socket_new();

    if (self->link.state.ifindex > 0 &&
        !inject_socket_attach(inject, &self->link.state, errp)) {
        inject_socket_free(inject);
        return NULL;
    }
    g_ptr_array_add(self->injects, inject);
    return inject;
}

void tap_remove_inject(Tap *self, InjectSocket *inject)
{
    if (inject && g_ptr_array_remove(self->injects, inject)) {
        inject_socket_free(inject);
    }
}

void tap_listen(Tap *self, TapListener *listener)
{
    g_ptr_array_add(self->listeners, listener);
}

void tap_unlisten(Tap *self, TapListener *listener)
{
    g_ptr_array_remove(self->listeners, listener);
}

/* The interface of this name is another one now, or gone. */
static void tap_reattach(Tap *self)
{
    int ifindex = self->link.state.ifindex;

    for (guint i = 0; i < self->captures->len; i++) {
        g_autoptr(GError) error = NULL;

        capture_drain(self->captures->pdata[i]);
        capture_detach(self->captures->pdata[i]);
        if (ifindex > 0 &&
            !capture_attach(self->captures->pdata[i], ifindex, &error)) {
            log_error("tap", "%s: %s", self->ifname, error->message);
        }
    }
    for (guint i = 0; i < self->injects->len; i++) {
        g_autoptr(GError) error = NULL;

        inject_socket_detach(self->injects->pdata[i]);
        if (ifindex > 0 && !inject_socket_attach(self->injects->pdata[i],
                                                 &self->link.state, &error)) {
            log_error("tap", "%s: %s", self->ifname, error->message);
        }
    }
}

static void tap_link_changed(void *opaque, const LinkState *before)
{
    Tap *self = opaque;
    const LinkState *now = &self->link.state;
    bool renewed = now->ifindex != before->ifindex;

    self->link_changes += renewed || now->up != before->up;
    if (now->ifindex == 0) {
        log_warning("tap",
                    "%s: the interface is gone; waiting for one of "
                    "that name",
                    self->ifname);
    } else if (renewed || now->up != before->up) {
        log_info("tap", "%s: the interface is %s%s", self->ifname,
                 before->ifindex == 0 ? "back and " : "",
                 now->up ? "up" : "down");
    }
    if (renewed) {
        tap_reattach(self);
    }
    for (guint i = 0; i < self->listeners->len; i++) {
        TapListener *listener = self->listeners->pdata[i];

        listener->changed(listener->opaque, renewed);
    }
}

/* The chain's ends */

static void tap_observed(void *opaque, Direction direction,
                         const PacketBatch *batch)
{
    Tap *self = opaque;

    netdev_receive(&self->netdev, direction, batch);
}

static void tap_observed_lost(void *opaque, unsigned queue, uint64_t n)
{
    Tap *self = opaque;

    counter_add(&self->netdev.dropped, n, 0);
}

static const CaptureHandlers tap_observer_handlers = {
    .packets = tap_observed,
    .lost = tap_observed_lost,
};

static void tap_set_observed(Netdev *netdev, bool observed,
                             const struct sock_fprog *match)
{
    Tap *self = (Tap *)netdev;
    g_autoptr(GError) error = NULL;

    if (observed && !self->observer) {
        self->observer = tap_add_capture(self, CAPTURE_TX | CAPTURE_RX,
                                         &tap_observer_handlers, self, &error);
        if (!self->observer) {
            log_error("tap", "%s: %s", self->ifname, error->message);
        }
    } else if (!observed && self->observer) {
        tap_remove_capture(self, self->observer);
        self->observer = NULL;
    }
    if (self->observer) {
        capture_set_match(self->observer, match);
    }
}

static void tap_chain_refused(void *opaque, const PacketRecord *record,
                              InjectResult why)
{
    Tap *self = opaque;

    counter_add(&self->netdev.dropped, 1, record->len);
}

static const InjectorHandlers tap_injector_handlers = {
    .refused = tap_chain_refused,
};

/* Bytes that filters have put into the chain and that wait for the guest. */
#define TAP_CHAIN_QUEUE_BYTES (16 * 1024 * 1024)

static void tap_deliver(Netdev *netdev, Direction direction,
                        const Packet *packet)
{
    Tap *self = (Tap *)netdev;

    if (packet->origin == ORIGIN_OBSERVED) {
        return; /* the kernel delivers it */
    }
    if (direction == DIRECTION_TX && !self->injector) {
        self->injector = injector_new(self, &tap_injector_handlers, self, NULL);
        if (self->injector) {
            injector_set_gate(self->injector, true);
        }
    }
    if (direction == DIRECTION_RX || !self->injector ||
        packet_queue_size(injector_queue(self->injector)) >
            TAP_CHAIN_QUEUE_BYTES) {
        counter_add(&netdev->dropped, 1, packet->len);
        return;
    }
    injector_offer(self->injector, packet);
}

static void tap_flush(Netdev *netdev)
{
    Tap *self = (Tap *)netdev;

    if (self->injector) {
        injector_run(self->injector);
    }
}

/* The object */

static bool tap_open(Netdev *netdev, GError **errp)
{
    Tap *self = (Tap *)netdev;
    InjectSocket *probe;

    self->captures = g_ptr_array_new();
    self->injects = g_ptr_array_new();
    self->listeners = g_ptr_array_new();
    if (!link_watch_add(&self->link, self->ifname, tap_link_changed, self,
                        errp)) {
        return false;
    }
    if (self->link.state.ifindex == 0) {
        return tf_error_set(errp,
                            "there is no interface '%s' here; make it first, "
                            "or start tapferryd in its network namespace",
                            self->ifname);
    }
    /* Fails now if the privileges are missing, not at the switchover. */
    probe = tap_add_inject(self, errp);
    tap_remove_inject(self, probe);
    return probe != NULL;
}

static void tap_close(Netdev *netdev)
{
    Tap *self = (Tap *)netdev;

    tap_set_observed(netdev, false, NULL);
    injector_free(self->injector);
    if (self->listeners) {
        link_watch_remove(&self->link);
        g_ptr_array_unref(self->captures);
        g_ptr_array_unref(self->injects);
        g_ptr_array_unref(self->listeners);
    }
}

static char *tap_info(const Netdev *netdev)
{
    const Tap *self = (const Tap *)netdev;

    return g_strdup_printf("type=tap,ifname=%s", self->ifname);
}

static const Property tap_props[] = {
    {.name = "ifname",
     PROP_FIELD_STRING(Tap, ifname),
     .flags = PROP_REQUIRED | PROP_FIXED,
     .since = "0.1",
     .doc = "the interface; it must exist"},
    {.name = "link-changes",
     PROP_FIELD_UINT64(Tap, link_changes),
     .flags = PROP_READ_ONLY,
     .since = "0.1",
     .doc = "how often it went away, came back under its name, or was set up "
            "or down"},
    PROP_END,
};

const NetdevClass netdev_tap_class = {
    .object =
        {
            .name = "tap",
            .parent = &netdev_class,
            .kind = OBJECT_KIND_NETDEV,
            .size = sizeof(Tap),
            .props = tap_props,
            .doc = "an interface that somebody else owns, such as a VMM's TAP, "
                   "observed and injected into",
        },
    .has_guest = true,
    .open = tap_open,
    .close = tap_close,
    .deliver = tap_deliver,
    .flush = tap_flush,
    .set_observed = tap_set_observed,
    .info = tap_info,
};
