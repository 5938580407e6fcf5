/* SPDX-License-Identifier: BSD-2-Clause */
#include "netdev/link-internal.h"

#include "base/error.h"

#include <errno.h>
#include <string.h>

#include <linux/if_link.h>
#include <linux/rtnetlink.h>

static void query_close(void *socket)
{
    mnl_socket_close(socket);
}

/* One per thread, closed when that ends. */
static GPrivate query_socket = G_PRIVATE_INIT(query_close);

static struct mnl_socket *query_open(void)
{
    struct mnl_socket *nl = g_private_get(&query_socket);

    if (!nl) {
        nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
        if (nl && mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0) {
            mnl_socket_close(nl);
            nl = NULL;
        }
        g_private_set(&query_socket, nl);
    }
    return nl;
}

void link_query_end(void)
{
    g_private_replace(&query_socket, NULL);
}

/* Reads the kernel's answer; that of a dump is several messages. */
static bool query_answer(const struct mnl_socket *nl, unsigned sequence,
                         mnl_cb_t func, void *opaque)
{
    unsigned port = mnl_socket_get_portid(nl);
    char buffer[LINK_BUFFER];
    bool dump;
    ssize_t n;
    int rc;

    do {
        do {
            n = mnl_socket_recvfrom(nl, buffer, sizeof(buffer));
        } while (n < 0 && errno == EINTR);
        if (n <= 0) {
            return false;
        }
        dump = ((struct nlmsghdr *)buffer)->nlmsg_flags & NLM_F_MULTI;
        rc = mnl_cb_run(buffer, (size_t)n, sequence, port, func, opaque);
    } while (dump && rc > 0);
    return rc >= 0;
}

/* Sends @request and passes the messages of the answer to @func. */
static bool query_ask(struct nlmsghdr *request, mnl_cb_t func, void *opaque)
{
    static _Thread_local uint32_t sequence;
    struct mnl_socket *nl = query_open();

    if (!nl) {
        return false;
    }
    request->nlmsg_flags |= NLM_F_REQUEST;
    request->nlmsg_seq = ++sequence;
    return mnl_socket_sendto(nl, request, request->nlmsg_len) >= 0 &&
           query_answer(nl, sequence, func, opaque);
}

/* Counters */

static int query_got_stats(const struct nlmsghdr *nlh, void *opaque)
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
    message = mnl_nlmsg_put_extra_header(nlh, sizeof(*message));
    message->ifindex = (uint32_t)ifindex;
    message->filter_mask = IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64);
    return query_ask(nlh, query_got_stats, counters);
}

/* State */

static LinkKind query_kind(const struct nlattr *info)
{
    const struct nlattr *attr;

    mnl_attr_for_each_nested (attr, info) {
        if (mnl_attr_get_type(attr) == IFLA_INFO_KIND) {
            const char *kind = mnl_attr_get_str(attr);

            return strcmp(kind, "tun") == 0    ? LINK_TUN
                   : strcmp(kind, "veth") == 0 ? LINK_VETH
                                               : LINK_OTHER;
        }
    }
    return LINK_OTHER;
}

bool link_parse(const struct nlmsghdr *nlh, LinkNews *news)
{
    const struct ifinfomsg *message = mnl_nlmsg_get_payload(nlh);
    bool several = false;
    struct nlattr *attr;

    if ((nlh->nlmsg_type != RTM_NEWLINK && nlh->nlmsg_type != RTM_DELLINK) ||
        message->ifi_family != AF_UNSPEC) {
        return false;
    }
    *news = (LinkNews){
        .deleted = nlh->nlmsg_type == RTM_DELLINK,
        .state = {.ifindex = message->ifi_index,
                  .up = message->ifi_flags & IFF_UP,
                  .carrier = message->ifi_flags & IFF_LOWER_UP},
    };
    mnl_attr_for_each (attr, nlh, sizeof(*message)) {
        if (mnl_attr_get_type(attr) == IFLA_IFNAME) {
            news->ifname = mnl_attr_get_str(attr);
        } else if (mnl_attr_get_type(attr) == IFLA_TXQLEN) {
            news->state.txqueuelen = mnl_attr_get_u32(attr);
        } else if (mnl_attr_get_type(attr) == IFLA_CARRIER_DOWN_COUNT) {
            news->state.closed = mnl_attr_get_u32(attr);
        } else if (mnl_attr_get_type(attr) == IFLA_MTU) {
            news->state.mtu = mnl_attr_get_u32(attr);
        } else if (mnl_attr_get_type(attr) == IFLA_NUM_TX_QUEUES) {
            several = mnl_attr_get_u32(attr) > 1;
        } else if (mnl_attr_get_type(attr) == IFLA_LINKINFO) {
            news->state.kind = query_kind(attr);
        }
    }
    /* Other interfaces have a queue per processor. */
    news->state.multi_queue = several && news->state.kind == LINK_TUN;
    return news->ifname != NULL;
}

static struct nlmsghdr *query_link_request(char *buffer)
{
    struct nlmsghdr *nlh = mnl_nlmsg_put_header(buffer);
    struct ifinfomsg *message;

    nlh->nlmsg_type = RTM_GETLINK;
    message = mnl_nlmsg_put_extra_header(nlh, sizeof(*message));
    message->ifi_family = AF_UNSPEC;
    mnl_attr_put_u32(nlh, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    return nlh;
}

static int query_got_link(const struct nlmsghdr *nlh, void *opaque)
{
    LinkNews news;

    if (link_parse(nlh, &news)) {
        *(LinkState *)opaque = news.state;
    }
    return MNL_CB_OK;
}

LinkState link_query_state(const char *ifname)
{
    char buffer[256];
    struct nlmsghdr *nlh = query_link_request(buffer);
    LinkState state = {0};

    mnl_attr_put_strz(nlh, IFLA_IFNAME, ifname);
    return query_ask(nlh, query_got_link, &state) ? state : (LinkState){0};
}

typedef struct QueryAll {
    void (*func)(void *opaque, const LinkNews *news);
    void *opaque;
} QueryAll;

static int query_got_one(const struct nlmsghdr *nlh, void *opaque)
{
    const QueryAll *all = opaque;
    LinkNews news;

    if (link_parse(nlh, &news)) {
        all->func(all->opaque, &news);
    }
    return MNL_CB_OK;
}

bool link_query_all(void (*func)(void *opaque, const LinkNews *news),
                    void *opaque)
{
    char buffer[256];
    struct nlmsghdr *nlh = query_link_request(buffer);
    QueryAll all = {func, opaque};

    nlh->nlmsg_flags = NLM_F_DUMP;
    return query_ask(nlh, query_got_one, &all);
}

/* The queue */

static int query_got_queue(const struct nlmsghdr *nlh, void *opaque)
{
    LinkQueue *queue = opaque;
    struct nlattr *attr;

    mnl_attr_for_each (attr, nlh, sizeof(struct ifinfomsg)) {
        if (mnl_attr_get_type(attr) == IFLA_TXQLEN) {
            queue->length = mnl_attr_get_u32(attr);
        } else if (mnl_attr_get_type(attr) == IFLA_CARRIER_DOWN_COUNT) {
            queue->closed = mnl_attr_get_u32(attr);
        } else if (mnl_attr_get_type(attr) == IFLA_IFALIAS) {
            g_strlcpy(queue->alias, mnl_attr_get_str(attr), IFALIASZ);
        }
    }
    return MNL_CB_OK;
}

static struct nlmsghdr *query_about(char *buffer, int ifindex)
{
    struct nlmsghdr *nlh = query_link_request(buffer);

    ((struct ifinfomsg *)mnl_nlmsg_get_payload(nlh))->ifi_index = ifindex;
    return nlh;
}

bool link_read_queue(int ifindex, LinkQueue *queue)
{
    char buffer[256];

    *queue = (LinkQueue){0};
    return query_ask(query_about(buffer, ifindex), query_got_queue, queue);
}

bool link_set_queue(int ifindex, const LinkQueue *queue, GError **errp)
{
    char buffer[1024];
    struct nlmsghdr *nlh = query_about(buffer, ifindex);

    nlh->nlmsg_type = RTM_NEWLINK;
    nlh->nlmsg_flags = NLM_F_ACK;
    mnl_attr_put_u32(nlh, IFLA_TXQLEN, queue->length);
    mnl_attr_put(nlh, IFLA_IFALIAS, strlen(queue->alias), queue->alias);
    return query_ask(nlh, NULL, NULL) ||
           tf_error_set_errno(errp, errno, "can not set txqueuelen");
}
