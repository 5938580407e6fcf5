/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which frames a filter is meant for: a pcap-filter(7) expression, compiled by
 * libpcap. It is evaluated in user space; where nobody else looks the kernel
 * does so first (capture_set_match()). Owned by a filter. In its loop only.
 */
#ifndef TF_FILTER_MATCH_H
#define TF_FILTER_MATCH_H

#include "packet/packet.h"

#include <glib.h>

#include <linux/filter.h>

typedef struct Match Match;

/* NULL and an error in libpcap's words for an expression that is none. Names
 * of hosts in it are looked up, which may take its time. */
Match *match_new(const char *expression, GError **errp);
/* Harmless with NULL. */
void match_free(Match *match);

const char *match_expression(const Match *match);

bool match_packet(const Match *match, const Packet *packet);

/* The same for the kernel, on a frame with its VLAN tag in band; valid as long
 * as @match. */
const struct sock_fprog *match_program(const Match *match);

#endif
