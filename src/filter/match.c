/* SPDX-License-Identifier: BSD-2-Clause */
#include "filter/match.h"

#include "base/error.h"

#include <pcap/pcap.h>

struct Match {
    char *expression;
    struct bpf_program program;
    struct sock_fprog kernel; /* the same instructions */
};

Match *match_new(const char *expression, GError **errp)
{
    Match *self = g_new0(Match, 1);
    /* No interface stands behind it: just the link type counts. */
    pcap_t *pcap = pcap_open_dead(DLT_EN10MB, PACKET_MAX_LEN);

    g_assert(pcap);
    self->expression = g_strdup(expression);
    if (pcap_compile(pcap, &self->program, expression, 1,
                     PCAP_NETMASK_UNKNOWN) != 0) {
        /* It may quote what the user wrote, whatever bytes that was. */
        g_autofree char *why = g_utf8_make_valid(pcap_geterr(pcap), -1);

        tf_error_set(errp, "Parameter 'bpf': %s", why);
        g_clear_pointer(&self, match_free);
    } else {
        self->kernel.len = (unsigned short)self->program.bf_len;
        self->kernel.filter = (struct sock_filter *)self->program.bf_insns;
    }
    pcap_close(pcap);
    return self;
}

void match_free(Match *self)
{
    if (self) {
        pcap_freecode(&self->program);
        g_free(self->expression);
        g_free(self);
    }
}

const char *match_expression(const Match *self)
{
    return self->expression;
}

const struct sock_fprog *match_program(const Match *self)
{
    /* Libpcap's instructions are the kernel's, member by member. */
    G_STATIC_ASSERT(sizeof(struct sock_filter) == sizeof(struct bpf_insn));
    G_STATIC_ASSERT(offsetof(struct sock_filter, k) ==
                    offsetof(struct bpf_insn, k));
    return &self->kernel;
}

bool match_packet(const Match *self, const Packet *packet)
{
    struct pcap_pkthdr header = {.caplen = packet->len, .len = packet->len};

    return pcap_offline_filter(&self->program, &header, packet->data) != 0;
}
