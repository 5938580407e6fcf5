/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which frames a filter is meant for: a pcap-filter(7) expression, compiled by
 * libpcap and evaluated in user space. Owned by a filter. Main thread only.
 */
#ifndef TF_FILTER_MATCH_H
#define TF_FILTER_MATCH_H

#include "packet/packet.h"

#include <glib.h>

typedef struct Match Match;

/* NULL and an error in libpcap's words for an expression that is none. Names
 * of hosts in it are looked up, which may take its time. */
Match *match_new(const char *expression, GError **errp);
/* Harmless with NULL. */
void match_free(Match *match);

const char *match_expression(const Match *match);

bool match_packet(const Match *match, const Packet *packet);

#endif
