/* SPDX-License-Identifier: BSD-2-Clause */
#include "netdev/inject-socket.h"

#include "base/closer.h"
#include "base/error.h"
#include "netdev/capture.h"
#include "netdev/xsk.h"
#include "packet/segment.h"
#include "packet/vnet.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_ether.h>
#include <linux/if_packet.h>

/* An Xsk is opened after XSK_AFTER frames in runs of at least XSK_RUN: its bind
 * waits for the kernel's RTNL lock, and a short backlog does not need it. */
#define XSK_RUN 32
#define XSK_AFTER 4096
/* Frames until the next attempt, if that has failed. */
#define XSK_AGAIN 1000000

/* Does the interface take super-frames? */
typedef enum InjectGso { GSO_NOT_KNOWN, GSO_TAKEN, GSO_REFUSED } InjectGso;

struct InjectSocket {
    int fd;
    int ifindex;
    Xsk *xsk;             /* NULL: there is none, or none yet */
    uint32_t xsk_max;     /* longest frame for it; 0: not used */
    uint32_t xsk_missing; /* frames until it is opened */
    InjectCounts counts;
    InjectGso gso;
    unsigned segments_done; /* segments sent of the frame in progress */
    uint8_t *scratch;       /* for segmentation */
};

InjectSocket *inject_socket_new(void)
{
    InjectSocket *self = g_new0(InjectSocket, 1);

    self->fd = -1;
    return self;
}

void inject_socket_free(InjectSocket *self)
{
    if (self) {
        inject_socket_detach(self);
        g_free(self->scratch);
        g_free(self);
    }
}

bool inject_socket_attach(InjectSocket *self, const LinkState *link,
                          GError **errp)
{
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET,
        .sll_protocol = 0, /* sends only */
        .sll_ifindex = link->ifindex,
    };
    int one = 1, bytes = 4 * 1024 * 1024;
    unsigned mark = CAPTURE_OWN_MARK;

    self->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (self->fd < 0) {
        return tf_error_set_errno(errp, errno, "can not open a packet socket%s",
                                  errno == EPERM ? " (CAP_NET_RAW is needed)"
                                                 : "");
    }
    setsockopt(self->fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
    if (setsockopt(self->fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) ||
        setsockopt(self->fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one,
                   sizeof(one)) ||
        setsockopt(self->fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) ||
        bind(self->fd, (struct sockaddr *)&address, sizeof(address))) {
        tf_error_set_errno(errp, errno, "can not inject");
        inject_socket_detach(self);
        return false;
    }
    self->ifindex = link->ifindex;
    /* A multi-queue TAP distributes flows; an Xsk has one queue. */
    self->xsk_max = link->kind == LINK_OTHER || link->multi_queue
                        ? 0
                        : MIN(ETH_HLEN + link->mtu, XSK_FRAME_MAX);
    self->xsk_missing = XSK_AFTER;
    self->gso = GSO_NOT_KNOWN;
    self->segments_done = 0;
    return true;
}

static void inject_close_xsk(InjectSocket *self, uint32_t missing)
{
    xsk_close(self->xsk);
    self->xsk = NULL;
    self->xsk_missing = missing;
}

void inject_socket_detach(InjectSocket *self)
{
    inject_close_xsk(self, 0);
    if (self->fd >= 0) {
        closer_close(self->fd);
        self->fd = -1;
    }
}

static InjectResult inject_result(int error)
{
    switch (error) {
    case ENOBUFS:
    case EAGAIN:
        return INJECT_FULL;
    case EMSGSIZE:
        return INJECT_OVERSIZE;
    case ENETDOWN:
    case ENXIO:
    case ENODEV:
        return INJECT_GONE;
    default:
        return INJECT_REFUSED;
    }
}

static void inject_fill(struct mmsghdr *message, struct iovec *iov,
                        const Packet *packet)
{
    bool in_place = packet->headroom >= VNET_HDR_LEN;

    if (in_place) {
        uint8_t *start = packet_push(packet, VNET_HDR_LEN);

        memcpy(start, &packet->vnet, VNET_HDR_LEN);
        iov[0] = (struct iovec){start, VNET_HDR_LEN + packet->len};
    } else {
        iov[0] = (struct iovec){(void *)&packet->vnet, VNET_HDR_LEN};
        iov[1] = (struct iovec){(void *)packet->data, packet->len};
    }
    *message = (struct mmsghdr){
        .msg_hdr = {.msg_iov = iov, .msg_iovlen = in_place ? 1 : 2},
    };
}

/* Sends a run of packets as they are; returns how many went in. */
static unsigned inject_send_run(InjectSocket *self, const Packet *packets,
                                unsigned n, InjectResult *result)
{
    struct mmsghdr messages[PACKET_BATCH_MAX];
    struct iovec iov[PACKET_BATCH_MAX][2];
    unsigned done = 0;
    bool cut = false, counted = false;

    *result = INJECT_OK;
    for (unsigned i = 0; i < n; i++) {
        inject_fill(&messages[i], iov[i], &packets[i]);
    }
    while (done < n) {
        int sent = sendmmsg(self->fd, messages + done, n - done, 0);

        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0) {
            counted = errno == ENOBUFS; /* EAGAIN: it did not get there */
            *result = inject_result(errno);
            break;
        }
        done += (unsigned)sent;
        /* A short count hides the error: the next call returns it. But the
         * kernel has tried the next frame, and the TAP has counted that. */
        cut = done < n;
        self->counts.refused += cut;
    }
    if (counted) {
        self->counts.refused++;
    } else if (*result != INJECT_OK && cut) {
        self->counts.refused--;
    }
    self->counts.accepted += done;
    return done;
}

static void inject_want_xsk(InjectSocket *self, unsigned run)
{
    if (self->xsk || self->xsk_max == 0 || run < XSK_RUN) {
        return;
    }
    self->xsk_missing -= MIN(run, self->xsk_missing);
    if (self->xsk_missing == 0) {
        self->xsk = xsk_open(self->ifindex, CAPTURE_OWN_MARK);
        self->xsk_missing = XSK_AGAIN;
    }
}

/* Likewise, through the Xsk. If that fails, the packet socket goes on, and
 * tells the reason. */
static unsigned inject_send_xsk(InjectSocket *self, const Packet *packets,
                                unsigned n, InjectResult *result)
{
    int error;
    unsigned done = xsk_send(self->xsk, packets, n, &error);

    *result = INJECT_OK;
    self->counts.accepted += done;
    if (error == EBUSY) {
        self->counts.refused++;
        *result = INJECT_FULL;
    } else if (error == EAGAIN) {
        *result = INJECT_FULL;
    } else if (error) {
        inject_close_xsk(self, XSK_AGAIN);
    }
    return done;
}

typedef struct InjectSegments {
    InjectSocket *inject;
    unsigned seen;
    InjectResult result;
} InjectSegments;

static void inject_segment(void *opaque, const Packet *segment)
{
    InjectSegments *state = opaque;

    if (state->result == INJECT_OK &&
        state->seen++ == state->inject->segments_done) {
        state->inject->segments_done +=
            inject_send_run(state->inject, segment, 1, &state->result);
    }
}

/* Sends a super-frame in segments: the queue was full, or the TAP takes no
 * super-frames, which a segment that goes in shows. After INJECT_FULL it
 * resumes at the next segment. */
static InjectResult inject_segments(InjectSocket *self, const Packet *packet)
{
    InjectSegments state = {.inject = self};

    if (!self->scratch) {
        self->scratch = g_malloc(PACKET_MAX_LEN);
    }
    if (packet_segment(packet, self->scratch, inject_segment, &state) == 0) {
        return INJECT_REFUSED;
    }
    if (self->segments_done > 0) {
        self->gso = GSO_REFUSED;
    }
    if (state.result != INJECT_FULL && state.result != INJECT_GONE) {
        self->segments_done = 0;
    }
    return state.result;
}

typedef enum InjectWay {
    INJECT_PACKET, /* many a call */
    INJECT_XSK,    /* likewise */
    INJECT_SEGMENTS,
} InjectWay;

static InjectWay inject_way(const InjectSocket *self, const Packet *packet)
{
    if (packet_is_super_frame(packet)) {
        return self->gso == GSO_REFUSED ? INJECT_SEGMENTS : INJECT_PACKET;
    }
    return self->xsk && packet->len >= ETH_HLEN &&
                   packet->len <= self->xsk_max && !packet_is_offloaded(packet)
               ? INJECT_XSK
               : INJECT_PACKET;
}

InjectResult inject_socket_send(InjectSocket *self, const Packet *packets,
                                unsigned n, unsigned *done)
{
    InjectResult result = INJECT_OK;

    *done = 0;
    if (self->fd < 0) {
        return INJECT_GONE;
    }
    while (*done < n && result == INJECT_OK) {
        const Packet *first = &packets[*done];
        InjectWay way = inject_way(self, first);
        unsigned run = 1;

        while (way != INJECT_SEGMENTS && *done + run < n &&
               run < PACKET_BATCH_MAX && inject_way(self, first + run) == way) {
            run++;
        }
        switch (way) {
        case INJECT_SEGMENTS:
            result = inject_segments(self, first);
            *done += result == INJECT_OK;
            break;
        case INJECT_XSK:
            *done += inject_send_xsk(self, first, run, &result);
            break;
        case INJECT_PACKET:
            *done += inject_send_run(self, first, run, &result);
            inject_want_xsk(self, run);
            if (first < &packets[*done] && packet_is_super_frame(first)) {
                self->gso = GSO_TAKEN;
            }
            if (result == INJECT_FULL &&
                packet_is_super_frame(&packets[*done])) {
                result = inject_segments(self, &packets[*done]);
                *done += result == INJECT_OK;
            }
            break;
        }
    }
    return result;
}

unsigned inject_socket_entries(const InjectSocket *self, const Packet *packet)
{
    return !packet_is_super_frame(packet) || self->gso == GSO_TAKEN
               ? 1
               : packet->len / MAX(packet->vnet.gso_size, 1) + 1;
}

InjectCounts inject_socket_counts(const InjectSocket *self)
{
    return self->counts;
}
