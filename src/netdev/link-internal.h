/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of links share: link-query.c sends requests to the kernel,
 * link.c receives its notifications.
 */
#ifndef TF_NETDEV_LINK_INTERNAL_H
#define TF_NETDEV_LINK_INTERNAL_H

#include "netdev/link.h"

#include <libmnl/libmnl.h>

/* Enough for any message of the kernel (NLMSG_GOODSIZE, and a dump's). */
#define LINK_BUFFER 32768

/* What an RTM_NEWLINK or RTM_DELLINK says. */
typedef struct LinkNews {
    const char *ifname; /* in the message; NULL: none */
    bool deleted;
    LinkState state;
} LinkNews;

/* False if @nlh is not about a link: a bridge reports its ports in messages of
 * the same types. */
bool link_parse(const struct nlmsghdr *nlh, LinkNews *news);

/* The state of the interface @ifname; ifindex 0 if there is none. */
LinkState link_query_state(const char *ifname);

/* Calls @func for each interface; @func may not send requests. False if the
 * kernel can't be asked. */
bool link_query_all(void (*func)(void *opaque, const LinkNews *news),
                    void *opaque);

/* Closes this thread's request socket until it is needed again. */
void link_query_end(void);

#endif
