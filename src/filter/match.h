/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The property bpf of filters: a pcap-filter(7) expression, compiled by
 * libpcap. It is evaluated in user space, and where only one filter observes a
 * netdev also in the kernel before (capture_set_match()). Owned by a filter. In
 * its loop only.
 */
#ifndef TF_FILTER_MATCH_H
#define TF_FILTER_MATCH_H

#include "packet/packet.h"

#include <glib.h>

#include <linux/filter.h>

typedef struct Match Match;

/* NULL and libpcap's error for an invalid expression. Host names in it are
 * resolved, which may block. */
Match *match_new(const char *expression, GError **errp);
/* Harmless with NULL. */
void match_free(Match *match);

const char *match_expression(const Match *match);

bool match_packet(const Match *match, const Packet *packet);

/* The program, for a frame with its VLAN tag in band; valid as long as @match.
 */
const struct sock_fprog *match_program(const Match *match);

#endif
