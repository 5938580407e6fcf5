/* SPDX-License-Identifier: BSD-2-Clause */
#include "switchover/flows.h"

#include <string.h>

#include <glib.h>
#include <linux/if_ether.h>
#include <netinet/in.h>

#define VLAN_TAG_LEN 4
#define IPV6_HEADER_LEN 40
#define IPV6_EXTENSIONS_MAX 4

static const char *const kind_names[] = {
    [FLOW_TCP] = "tcp",
    [FLOW_UDP] = "udp",
    [FLOW_ICMP] = "icmp",
    [FLOW_OTHER] = "other",
};

static FlowKind flow_of_protocol(uint8_t protocol)
{
    switch (protocol) {
    case IPPROTO_TCP:
        return FLOW_TCP;
    case IPPROTO_UDP:
        return FLOW_UDP;
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6:
        return FLOW_ICMP;
    default:
        return FLOW_OTHER;
    }
}

/* @data: an IPv6 packet (RFC 8200, section 4: extension headers). */
static FlowKind flow_of_ipv6(const uint8_t *data, uint32_t len)
{
    uint32_t at = IPV6_HEADER_LEN;
    uint8_t next;

    if (len < IPV6_HEADER_LEN) {
        return FLOW_OTHER;
    }
    next = data[6];
    for (unsigned i = 0; i < IPV6_EXTENSIONS_MAX && at + 8 <= len; i++) {
        uint32_t header = at;

        if (next == IPPROTO_FRAGMENT) {
            at += 8;
        } else if (next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING ||
                   next == IPPROTO_DSTOPTS) {
            at += (data[header + 1] + 1U) * 8;
        } else {
            break;
        }
        next = data[header];
    }
    return flow_of_protocol(next);
}

FlowKind flow_classify(const uint8_t *data, uint32_t len)
{
    uint32_t at = 2 * ETH_ALEN;
    unsigned type = 0;

    while (at + 2 <= len) {
        type = (unsigned)data[at] << 8 | data[at + 1];
        if (type != ETH_P_8021Q && type != ETH_P_8021AD) {
            break;
        }
        at += VLAN_TAG_LEN;
    }
    at += 2;
    if (type == ETH_P_IP && at + 10 <= len) {
        return flow_of_protocol(data[at + 9]);
    }
    if (type == ETH_P_IPV6 && at < len) {
        return flow_of_ipv6(data + at, len - at);
    }
    return FLOW_OTHER;
}

void flows_captured(Flows *self, const Packet *packet, uint64_t number)
{
    Flow *flow = &self->kinds[flow_classify(packet->data, packet->len)];

    flow->recent_number[flow->recent] = number;
    flow->recent_us[flow->recent] = packet->time_ns / 1000;
    flow->recent = (flow->recent + 1) % FLOW_RECENT;
}

/* The last frame of each kind before @first of those that are remembered one
 * by one. */
static void flows_find_recent(Flows *self, uint64_t first)
{
    for (unsigned k = 0; k < FLOW__MAX; k++) {
        Flow *flow = &self->kinds[k];

        for (unsigned i = 0; i < FLOW_RECENT; i++) {
            if (flow->recent_number[i] < first) {
                flow->before_us = MAX(flow->before_us, flow->recent_us[i]);
            }
        }
    }
}

void flows_stop(Flows *self, const PacketQueue *queue, uint64_t first)
{
    PacketCursor cursor = packet_queue_head(queue);
    const PacketRecord *record;

    flows_find_recent(self, first);
    while ((record = packet_queue_at(queue, &cursor))) {
        if (record->len > 0) {
            Flow *flow = &self->kinds[flow_classify(record->data, record->len)];

            if (cursor.number < first) {
                flow->before_us = MAX(flow->before_us, record->time_ns / 1000);
            } else {
                flow->waits = true;
                flow->packets++;
            }
        }
        packet_cursor_advance(&cursor);
    }
    for (unsigned k = 0; k < FLOW__MAX; k++) {
        self->kinds[k].seen_us = self->kinds[k].before_us;
    }
}

static void flow_see(Flow *flow, int64_t time_us)
{
    if (flow->seen_us > 0 && time_us - flow->seen_us > flow->gap_us) {
        flow->gap_us = time_us - flow->seen_us;
        flow->gap_end_us = time_us;
    }
    if (flow->first_us == 0) {
        flow->first_us = time_us;
    }
    flow->seen_us = MAX(flow->seen_us, time_us);
}

void flows_arrived(Flows *self, FlowKind kind, int64_t time_us, bool running)
{
    Flow *flow = &self->kinds[kind];

    flow->packets++;
    if (running) {
        flow_see(flow, time_us);
    } else {
        flow->waits = true;
    }
}

void flows_run(Flows *self, int64_t time_us)
{
    for (unsigned k = 0; k < FLOW__MAX; k++) {
        if (self->kinds[k].waits) {
            self->kinds[k].waits = false;
            flow_see(&self->kinds[k], time_us);
        }
    }
}

static void flow_add_time(json_t *entry, const char *key, int64_t us)
{
    if (us > 0) {
        json_object_set_new(entry, key, json_integer(us));
    }
}

json_t *flows_to_json(const Flows *self)
{
    json_t *list = json_array();

    for (unsigned k = 0; k < FLOW__MAX; k++) {
        const Flow *flow = &self->kinds[k];
        json_t *entry;

        if (flow->packets == 0 && flow->before_us == 0) {
            continue;
        }
        entry = json_pack("{s:s, s:I}", "kind", kind_names[k], "packets",
                          (json_int_t)flow->packets);
        flow_add_time(entry, "last-before-us", flow->before_us);
        flow_add_time(entry, "first-us", flow->first_us);
        flow_add_time(entry, "gap-us", flow->gap_us);
        flow_add_time(entry, "gap-end-us", flow->gap_end_us);
        json_array_append_new(list, entry);
    }
    return list;
}
