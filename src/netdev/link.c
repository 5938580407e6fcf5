/* SPDX-License-Identifier: BSD-2-Clause */
#include "netdev/link.h"

#include "base/error.h"
#include "base/log.h"
#include "base/loop.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#define LINK_BUFFER 32768

static struct mnl_socket *query_socket;
static struct mnl_socket *event_socket;
static LoopWatch event_watch;
static GPtrArray *link_watches;

static struct mnl_socket *link_open(unsigned groups)
{
    struct mnl_socket *nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);

    if (nl && mnl_socket_bind(nl, groups, MNL_SOCKET_AUTOPID) < 0) {
        mnl_socket_close(nl);
        nl = NULL;
    }
    return nl;
}

/* Sends @request and hands the answer's messages to @func. */
static bool link_ask(struct nlmsghdr *request, mnl_cb_t func, void *opaque)
{
    static uint32_t sequence;
    char buffer[LINK_BUFFER];
    ssize_t n;

    if (!query_socket && !(query_socket = link_open(0))) {
        return false;
    }
    request->nlmsg_seq = ++sequence;
    if (mnl_socket_sendto(query_socket, request, request->nlmsg_len) < 0) {
        return false;
    }
    do {
        n = mnl_socket_recvfrom(query_socket, buffer, sizeof(buffer));
    } while (n < 0 && errno == EINTR);
    return n > 0 &&
           mnl_cb_run(buffer, (size_t)n, sequence,
                      mnl_socket_get_portid(query_socket), func, opaque) >= 0;
}

static int link_got_stats(const struct nlmsghdr *nlh, void *opaque)
{
    LinkCounters *counters = opaque;
    struct rtnl_link_stats64 stats;
    struct nlattr *attr;

    mnl_attr_for_each (attr, nlh, sizeof(struct if_stats_msg)) {
        if (mnl_attr_get_type(attr) == IFLA_STATS_LINK_64 &&
            mnl_attr_get_payload_len(attr) >= sizeof(stats.rx_packets) * 8) {
            memset(&stats, 0, sizeof(stats));
            memcpy(&stats, mnl_attr_get_payload(attr),
                   MIN(mnl_attr_get_payload_len(attr), sizeof(stats)));
            counters->tx_packets = stats.tx_packets;
            counters->tx_dropped = stats.tx_dropped;
        }
    }
    return MNL_CB_OK;
}

bool link_read_counters(int ifindex, LinkCounters *counters)
{
    char buffer[256];
    struct nlmsghdr *nlh = mnl_nlmsg_put_header(buffer);
    struct if_stats_msg *message;

    nlh->nlmsg_type = RTM_GETSTATS;
    nlh->nlmsg_flags = NLM_F_REQUEST;
    message = mnl_nlmsg_put_extra_header(nlh, sizeof(*message));
    message->ifindex = (uint32_t)ifindex;
    message->filter_mask = IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64);
    return link_ask(nlh, link_got_stats, counters);
}

typedef struct LinkNews {
    const char *ifname; /* of the message */
    int ifindex;
    bool deleted;
    unsigned flags;
    uint32_t txqueuelen;
} LinkNews;

static LinkState link_news_state(const LinkNews *news)
{
    return (LinkState){
        .ifindex = news->ifindex,
        .up = news->flags & IFF_UP,
        .carrier = news->flags & IFF_LOWER_UP,
        .txqueuelen = news->txqueuelen,
    };
}

static bool link_state_equal(const LinkState *a, const LinkState *b)
{
    return a->ifindex == b->ifindex && a->up == b->up &&
           a->carrier == b->carrier && a->txqueuelen == b->txqueuelen;
}

/* What @news means for the interface that @watch is after. */
static void link_watch_apply(LinkWatch *watch, const LinkNews *news)
{
    LinkState before = watch->state;
    bool named = strcmp(watch->ifname, news->ifname) == 0;

    if (named && !news->deleted) {
        watch->state = link_news_state(news);
    } else if (news->ifindex == watch->state.ifindex) {
        /* Deleted, renamed, or moved to another namespace. */
        watch->state = (LinkState){0};
    }
    if (!link_state_equal(&before, &watch->state)) {
        watch->changed(watch->opaque, &before);
    }
}

static int link_parse(const struct nlmsghdr *nlh, void *opaque)
{
    LinkNews *news = opaque;
    const struct ifinfomsg *message = mnl_nlmsg_get_payload(nlh);
    struct nlattr *attr;

    news->ifindex = message->ifi_index;
    news->flags = message->ifi_flags;
    news->deleted = nlh->nlmsg_type == RTM_DELLINK;
    mnl_attr_for_each (attr, nlh, sizeof(*message)) {
        if (mnl_attr_get_type(attr) == IFLA_IFNAME) {
            news->ifname = mnl_attr_get_str(attr);
        } else if (mnl_attr_get_type(attr) == IFLA_TXQLEN) {
            news->txqueuelen = mnl_attr_get_u32(attr);
        }
    }
    return MNL_CB_OK;
}

static int link_got_event(const struct nlmsghdr *nlh, void *opaque)
{
    LinkNews news = {0};
    g_autoptr(GPtrArray) watches = g_ptr_array_copy(link_watches, NULL, NULL);
    const struct ifinfomsg *message = mnl_nlmsg_get_payload(nlh);

    (void)opaque;
    /* A bridge tells of its ports in messages of the same types. */
    if ((nlh->nlmsg_type != RTM_NEWLINK && nlh->nlmsg_type != RTM_DELLINK) ||
        message->ifi_family != AF_UNSPEC) {
        return MNL_CB_OK;
    }
    link_parse(nlh, &news);
    for (guint i = 0; news.ifname && i < watches->len; i++) {
        if (g_ptr_array_find(link_watches, watches->pdata[i], NULL)) {
            link_watch_apply(watches->pdata[i], &news);
        }
    }
    return MNL_CB_OK;
}

static int link_got_link(const struct nlmsghdr *nlh, void *opaque)
{
    LinkNews news = {0};

    link_parse(nlh, &news);
    *(LinkState *)opaque = link_news_state(&news);
    return MNL_CB_OK;
}

static LinkState link_read_state(const char *ifname)
{
    char buffer[256];
    struct nlmsghdr *nlh = mnl_nlmsg_put_header(buffer);
    struct ifinfomsg *message;
    LinkState state = {0};

    nlh->nlmsg_type = RTM_GETLINK;
    nlh->nlmsg_flags = NLM_F_REQUEST;
    message = mnl_nlmsg_put_extra_header(nlh, sizeof(*message));
    message->ifi_family = AF_UNSPEC;
    mnl_attr_put_strz(nlh, IFLA_IFNAME, ifname);
    if (!link_ask(nlh, link_got_link, &state)) {
        return (LinkState){0};
    }
    return state;
}

/* Notifications were lost: ask for everything that is watched. */
static void link_resync(void)
{
    g_autoptr(GPtrArray) watches = g_ptr_array_copy(link_watches, NULL, NULL);

    for (guint i = 0; i < watches->len; i++) {
        LinkWatch *watch = watches->pdata[i];
        LinkState before = watch->state;

        if (!g_ptr_array_find(link_watches, watch, NULL)) {
            continue;
        }
        watch->state = link_read_state(watch->ifname);
        if (!link_state_equal(&before, &watch->state)) {
            watch->changed(watch->opaque, &before);
        }
    }
}

static void link_event_ready(void *opaque, uint32_t events)
{
    char buffer[LINK_BUFFER];
    ssize_t n = mnl_socket_recvfrom(event_socket, buffer, sizeof(buffer));

    (void)opaque;
    (void)events;
    if (n > 0) {
        mnl_cb_run(buffer, (size_t)n, 0, 0, link_got_event, NULL);
    } else if (n < 0 && errno == ENOBUFS) {
        link_resync();
    }
}

bool link_watch_add(LinkWatch *watch, const char *ifname,
                    void (*changed)(void *opaque, const LinkState *before),
                    void *opaque, GError **errp)
{
    if (strlen(ifname) >= sizeof(watch->ifname)) {
        return tf_error_set(errp, "'%s' is too long for an interface name",
                            ifname);
    }
    if (!event_socket) {
        event_socket = link_open(RTMGRP_LINK);
        if (!event_socket) {
            return tf_error_set_errno(errp, errno,
                                      "can not watch network interfaces");
        }
        link_watches = g_ptr_array_new();
        loop_watch_add(&event_watch, mnl_socket_get_fd(event_socket), EPOLLIN,
                       link_event_ready, NULL);
    }
    *watch = (LinkWatch){.changed = changed, .opaque = opaque};
    g_strlcpy(watch->ifname, ifname, sizeof(watch->ifname));
    watch->state = link_read_state(ifname);
    g_ptr_array_add(link_watches, watch);
    return true;
}

void link_watch_remove(LinkWatch *watch)
{
    if (link_watches) {
        g_ptr_array_remove(link_watches, watch);
    }
    if (link_watches && link_watches->len == 0) {
        g_clear_pointer(&link_watches, g_ptr_array_unref);
        loop_watch_remove(&event_watch);
        g_clear_pointer(&event_socket, mnl_socket_close);
        g_clear_pointer(&query_socket, mnl_socket_close);
    }
}
