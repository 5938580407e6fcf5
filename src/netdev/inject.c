/* SPDX-License-Identifier: BSD-2-Clause */
#include "netdev/inject.h"

#include "base/closer.h"
#include "base/error.h"
#include "netdev/capture.h"
#include "packet/segment.h"
#include "packet/vnet.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_packet.h>

struct Inject {
    int fd;
    InjectCounts counts;
    bool gso_refused;       /* this interface takes no super-frames */
    unsigned segments_done; /* of the frame under way in segments */
    uint8_t *scratch;       /* for segmentation */
};

Inject *inject_new(void)
{
    Inject *self = g_new0(Inject, 1);

    self->fd = -1;
    return self;
}

void inject_free(Inject *self)
{
    if (self) {
        inject_detach(self);
        g_free(self->scratch);
        g_free(self);
    }
}

bool inject_attach(Inject *self, int ifindex, GError **errp)
{
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET,
        .sll_protocol = 0, /* sends only */
        .sll_ifindex = ifindex,
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
        inject_detach(self);
        return false;
    }
    self->gso_refused = false;
    self->segments_done = 0;
    return true;
}

void inject_detach(Inject *self)
{
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
static unsigned inject_send(Inject *self, const Packet *packets, unsigned n,
                            InjectResult *result)
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
        /* A short count hides the reason: the next call tells it. But the
         * kernel has tried the next one, and the TAP has counted that. */
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

typedef struct InjectSegments {
    Inject *inject;
    unsigned seen;
    InjectResult result;
} InjectSegments;

static void inject_segment(void *opaque, const Packet *segment)
{
    InjectSegments *state = opaque;

    if (state->result == INJECT_OK &&
        state->seen++ == state->inject->segments_done) {
        state->inject->segments_done +=
            inject_send(state->inject, segment, 1, &state->result);
    }
}

/* Sends a super-frame in segments. After FULL it goes on where it was. */
static InjectResult inject_segments(Inject *self, const Packet *packet)
{
    InjectSegments state = {.inject = self};

    if (!self->scratch) {
        self->scratch = g_malloc(PACKET_MAX_LEN);
    }
    if (packet_segment(packet, self->scratch, inject_segment, &state) == 0) {
        return INJECT_REFUSED;
    }
    if (state.result != INJECT_FULL && state.result != INJECT_GONE) {
        self->segments_done = 0;
    }
    return state.result;
}

static InjectResult inject_super_frame(Inject *self, const Packet *packet)
{
    InjectResult result;

    if (!self->gso_refused) {
        if (inject_send(self, packet, 1, &result) == 1 ||
            result != INJECT_FULL) {
            return result;
        }
        /* The queue is full, or the TAP takes no super-frames: a segment that
         * goes in tells which. */
    }
    result = inject_segments(self, packet);
    if (result == INJECT_OK || self->segments_done > 0) {
        self->gso_refused = true;
    }
    return result;
}

static bool is_super_frame(const Packet *packet)
{
    return packet->vnet.gso_type != VIRTIO_NET_HDR_GSO_NONE;
}

InjectResult inject_packets(Inject *self, const Packet *packets, unsigned n,
                            unsigned *done)
{
    InjectResult result = INJECT_OK;

    *done = 0;
    if (self->fd < 0) {
        return INJECT_GONE;
    }
    while (*done < n && result == INJECT_OK) {
        unsigned run = 0;

        if (is_super_frame(&packets[*done])) {
            result = inject_super_frame(self, &packets[*done]);
            *done += result == INJECT_OK;
            continue;
        }
        while (*done + run < n && run < PACKET_BATCH_MAX &&
               !is_super_frame(&packets[*done + run])) {
            run++;
        }
        *done += inject_send(self, &packets[*done], run, &result);
    }
    return result;
}

InjectCounts inject_counts(const Inject *self)
{
    return self->counts;
}
