/* SPDX-License-Identifier: BSD-2-Clause */
#include "netdev/capture-filter.h"

#include <string.h>
#include <sys/socket.h>

#include <linux/if_packet.h>

void capture_filter_init(CaptureFilter *self, unsigned directions,
                         CaptureQueues queues, const struct sock_fprog *match)
{
    bool tx = directions & CAPTURE_TX, rx = directions & CAPTURE_RX;
    bool fits = match && match->len > 0 && match->len <= CAPTURE_MATCH_MAX;
    const struct sock_filter head[CAPTURE_FILTER_HEAD] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                 (uint32_t)(SKF_AD_OFF + SKF_AD_MARK)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CAPTURE_OWN_MARK, 5, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                 (uint32_t)(SKF_AD_OFF + SKF_AD_QUEUE)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, queues.first, 0, 3),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, queues.last, 2, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                 (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, tx, rx),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                 (uint32_t)(SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT)),
        /* Without @match the head is the whole program. */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, fits, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };

    memcpy(self->code, head, sizeof(head));
    self->len = CAPTURE_FILTER_HEAD;
    if (fits) {
        memcpy(self->code + CAPTURE_FILTER_HEAD, match->filter,
               match->len * sizeof(match->filter[0]));
        self->len = (unsigned short)(self->len + match->len);
    }
}

bool capture_filter_attach(const CaptureFilter *self, int fd)
{
    static const struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog program = {
        .len = self ? self->len : 1,
        .filter = (struct sock_filter *)(self ? self->code : &nothing),
    };

    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program,
                      sizeof(program)) == 0;
}
