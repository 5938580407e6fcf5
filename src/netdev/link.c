/* SPDX-License-Identifier: BSD-2-Clause */
#include "netdev/link.h"

#include "base/error.h"
#include "base/log.h"
#include "base/loop.h"
#include "netdev/link-internal.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include <linux/rtnetlink.h>

/* Receive buffer for notifications: of about a thousand links that come and
 * go. */
#define LINK_EVENTS_BYTES (4 * 1024 * 1024)
/* Notifications per wakeup, so that others are not starved. */
#define LINK_EVENTS_MAX 64

/* An interface's name and its watches. */
typedef struct LinkName {
    char ifname[IFNAMSIZ];
    LinkState state;
    LinkState found;    /* link_resync() */
    GPtrArray *watches; /* LinkWatch *, borrowed */
} LinkName;

static struct mnl_socket *event_socket;
static LoopWatch event_watch;
static bool events_lost;         /* since the last resync */
static GHashTable *link_names;   /* ifname -> LinkName */
static GHashTable *link_indices; /* of those that are there: ifindex -> same */

static bool link_state_equal(const LinkState *a, const LinkState *b)
{
    return a->ifindex == b->ifindex && a->up == b->up &&
           a->carrier == b->carrier && a->closed == b->closed &&
           a->txqueuelen == b->txqueuelen && a->mtu == b->mtu;
}

static void link_set(LinkName *name, const LinkState *now)
{
    LinkState before = name->state;

    if (link_state_equal(&before, now)) {
        return;
    }
    if (before.ifindex != now->ifindex) {
        g_hash_table_remove(link_indices, GINT_TO_POINTER(before.ifindex));
    }
    if (now->ifindex > 0) {
        g_hash_table_insert(link_indices, GINT_TO_POINTER(now->ifindex), name);
    }
    name->state = *now;
    for (guint i = 0; i < name->watches->len; i++) {
        LinkWatch *watch = name->watches->pdata[i];

        Loop *loop = loop_enter(watch->loop);

        watch->state = *now;
        watch->changed(watch->opaque, &before);
        loop_leave(loop);
    }
}

static void link_apply(const LinkNews *news)
{
    LinkName *named = g_hash_table_lookup(link_names, news->ifname);
    LinkName *had =
        g_hash_table_lookup(link_indices, GINT_TO_POINTER(news->state.ifindex));

    if (had && (had != named || news->deleted)) {
        /* Deleted, renamed, or moved to another namespace. */
        link_set(had, &(LinkState){0});
    }
    if (named && !news->deleted) {
        link_set(named, &news->state);
    }
}

static int link_got_event(const struct nlmsghdr *nlh, void *opaque)
{
    LinkNews news;

    if (link_parse(nlh, &news)) {
        link_apply(&news);
    }
    return MNL_CB_OK;
}

static void link_found(void *opaque, const LinkNews *news)
{
    LinkName *name = g_hash_table_lookup(link_names, news->ifname);

    if (name) {
        name->found = news->state;
    }
}

/* Notifications were lost: requests the state of all interfaces. */
static void link_resync(void)
{
    g_autoptr(GList) names = g_hash_table_get_values(link_names);

    for (GList *at = names; at; at = at->next) {
        ((LinkName *)at->data)->found = (LinkState){0};
    }
    if (!link_query_all(link_found, NULL)) {
        log_error("link", "can not ask for the interfaces: %s",
                  g_strerror(errno));
        return;
    }
    log_info("link", "notifications were lost; asked for all interfaces");
    for (GList *at = names; at; at = at->next) {
        LinkName *name = at->data;

        link_set(name, &name->found);
    }
}

/* After a loss the kernel drops all notifications until the queue is empty
 * (NETLINK_S_CONGESTED in af_netlink.c), and those in the queue are old. So
 * they are discarded first. */
static void link_event_ready(void *opaque, uint32_t events)
{
    char buffer[LINK_BUFFER];

    for (unsigned i = 0; i < LINK_EVENTS_MAX; i++) {
        ssize_t n = mnl_socket_recvfrom(event_socket, buffer, sizeof(buffer));

        if (n > 0 && !events_lost) {
            mnl_cb_run(buffer, (size_t)n, 0, 0, link_got_event, NULL);
        } else if (n < 0 && errno == ENOBUFS) {
            events_lost = true;
        } else if (n < 0 && errno == EAGAIN) {
            if (events_lost) {
                events_lost = false;
                link_resync();
            }
            break;
        }
    }
}

static void link_name_free(void *opaque)
{
    LinkName *name = opaque;

    g_ptr_array_unref(name->watches);
    g_free(name);
}

static bool link_begin(GError **errp)
{
    int bytes = LINK_EVENTS_BYTES;
    Loop *before;

    event_socket =
        mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (!event_socket ||
        mnl_socket_bind(event_socket, RTMGRP_LINK, MNL_SOCKET_AUTOPID) < 0) {
        tf_error_set_errno(errp, errno, "can not watch network interfaces");
        g_clear_pointer(&event_socket, mnl_socket_close);
        return false;
    }
    setsockopt(mnl_socket_get_fd(event_socket), SOL_SOCKET, SO_RCVBUFFORCE,
               &bytes, sizeof(bytes));
    link_names =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, link_name_free);
    link_indices = g_hash_table_new(NULL, NULL);
    before = loop_enter(loop_control());
    loop_watch_add(&event_watch, mnl_socket_get_fd(event_socket), EPOLLIN,
                   link_event_ready, NULL);
    loop_leave(before);
    return true;
}

static void link_end(void)
{
    loop_watch_remove(&event_watch);
    g_clear_pointer(&link_names, g_hash_table_unref);
    g_clear_pointer(&link_indices, g_hash_table_unref);
    g_clear_pointer(&event_socket, mnl_socket_close);
    link_query_end();
}

static LinkName *link_name_get(const char *ifname)
{
    LinkName *name = g_hash_table_lookup(link_names, ifname);

    if (!name) {
        name = g_new0(LinkName, 1);
        name->watches = g_ptr_array_new();
        g_strlcpy(name->ifname, ifname, sizeof(name->ifname));
        g_hash_table_insert(link_names, name->ifname, name);
    }
    return name;
}

bool link_watch_add(LinkWatch *watch, const char *ifname,
                    void (*changed)(void *opaque, const LinkState *before),
                    void *opaque, GError **errp)
{
    LinkState now;
    LinkName *name;

    if (strlen(ifname) >= sizeof(watch->ifname)) {
        return tf_error_set(errp, "'%s' is too long for an interface name",
                            ifname);
    }
    if (!event_socket && !link_begin(errp)) {
        return false;
    }
    name = link_name_get(ifname);
    now = link_query_state(ifname);
    link_set(name, &now); /* other watches of that name are called here */
    *watch = (LinkWatch){.state = now,
                         .loop = loop_current(),
                         .changed = changed,
                         .opaque = opaque};
    g_strlcpy(watch->ifname, ifname, sizeof(watch->ifname));
    g_ptr_array_add(name->watches, watch);
    return true;
}

void link_watch_remove(LinkWatch *watch)
{
    LinkName *name =
        link_names ? g_hash_table_lookup(link_names, watch->ifname) : NULL;

    if (!name || !g_ptr_array_remove(name->watches, watch)) {
        return;
    }
    if (name->watches->len == 0) {
        if (name->state.ifindex > 0) {
            g_hash_table_remove(link_indices,
                                GINT_TO_POINTER(name->state.ifindex));
        }
        g_hash_table_remove(link_names, name->ifname);
    }
    if (g_hash_table_size(link_names) == 0) {
        link_end();
    }
}
