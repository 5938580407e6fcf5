/* SPDX-License-Identifier: BSD-2-Clause */
#include "netdev/capture-socket.h"

#include "base/closer.h"
#include "base/error.h"
#include "packet/vnet.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>

#define SLOT_SIZE 2048u
#define SLOTS 4096u
#define BLOCK_SIZE (64u * 1024)
#define RING_SIZE ((size_t)SLOT_SIZE * SLOTS)
/* Receive buffer: frames in a plain socket, and those larger than a slot. */
#define WAITING_BYTES (32 * 1024 * 1024)
#define VLAN_TAG_LEN 4
/* In front of a frame in the buffer: for a VLAN tag and a wire header. */
#define BUFFER_HEADROOM 64
#define BUFFER_SIZE (4 * (BUFFER_HEADROOM + PACKET_MAX_LEN))

static bool socket_set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

bool capture_socket_open(CaptureSocket *self, GError **errp)
{
    *self = CAPTURE_SOCKET_INIT;
    /* Protocol 0: nothing is captured before it is bound. */
    self->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (self->fd < 0) {
        return tf_error_set_errno(errp, errno, "can not open a packet socket%s",
                                  errno == EPERM ? " (CAP_NET_RAW is needed)"
                                                 : "");
    }
    socket_set(self->fd, SOL_SOCKET, SO_RCVBUFFORCE, WAITING_BYTES);
    if (!socket_set(self->fd, SOL_PACKET, PACKET_VERSION, TPACKET_V2) ||
        /* Before a ring is made: afterwards it is EBUSY. */
        !socket_set(self->fd, SOL_PACKET, PACKET_VNET_HDR, 1) ||
        !socket_set(self->fd, SOL_PACKET, PACKET_AUXDATA, 1) ||
        !socket_set(self->fd, SOL_PACKET, PACKET_COPY_THRESH, 1) ||
        !socket_set(self->fd, SOL_SOCKET, SO_TIMESTAMPNS, 1) ||
        !socket_set(self->fd, SOL_SOCKET, SO_RXQ_OVFL, 1)) {
        tf_error_set_errno(errp, errno, "can not capture");
        capture_socket_close(self);
        return false;
    }
    return true;
}

int capture_socket_make_ring(CaptureSocket *self)
{
    struct tpacket_req request = {
        .tp_block_size = BLOCK_SIZE,
        .tp_block_nr = (unsigned)(RING_SIZE / BLOCK_SIZE),
        .tp_frame_size = SLOT_SIZE,
        .tp_frame_nr = SLOTS,
    };
    void *ring;

    if (setsockopt(self->fd, SOL_PACKET, PACKET_RX_RING, &request,
                   sizeof(request)) < 0) {
        return errno;
    }
    ring =
        mmap(NULL, RING_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd, 0);
    if (ring == MAP_FAILED) {
        return errno;
    }
    self->ring = ring;
    self->slot = self->first = 0;
    return 0;
}

/* A new group has any free number. */
static bool socket_join(const CaptureSocket *self, int group)
{
    int own = (PACKET_FANOUT_CBPF | PACKET_FANOUT_FLAG_UNIQUEID) << 16;

    return socket_set(self->fd, SOL_PACKET, PACKET_FANOUT, group ? group : own);
}

int capture_socket_bind(const CaptureSocket *self, int ifindex, int group,
                        const CaptureFilter *filter)
{
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET,
        /* All protocols: other sockets do not see outgoing frames. */
        .sll_protocol = htons(ETH_P_ALL),
        .sll_ifindex = ifindex,
    };

    /* Bound but not in the group, it would get frames a second time. */
    if (!capture_filter_attach(NULL, self->fd) ||
        bind(self->fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        (!socket_join(self, group) && group != 0) ||
        !capture_filter_attach(filter, self->fd)) {
        return errno;
    }
    return 0;
}

int capture_socket_group(const CaptureSocket *self)
{
    int value;
    socklen_t length = sizeof(value);

    return getsockopt(self->fd, SOL_PACKET, PACKET_FANOUT, &value, &length) == 0
               ? value
               : 0;
}

int capture_socket_choose(const CaptureSocket *self, bool last)
{
    /* Of two the second; of one, modulo their number, that one. */
    struct sock_filter code = BPF_STMT(BPF_RET | BPF_K, last);
    struct sock_fprog program = {.len = 1, .filter = &code};

    return setsockopt(self->fd, SOL_PACKET, PACKET_FANOUT_DATA, &program,
                      sizeof(program)) == 0
               ? 0
               : errno;
}

void capture_socket_close(CaptureSocket *self)
{
    if (self->ring) {
        munmap(self->ring, RING_SIZE);
    }
    if (self->fd >= 0) {
        closer_close(self->fd);
    }
    *self = CAPTURE_SOCKET_INIT;
}

/* Moves the addresses forward and writes the tag behind them. The room in
 * front of @packet is the virtio-net header, which is read already. */
static void packet_restore_vlan(Packet *packet, uint16_t tpid, uint16_t tci)
{
    uint8_t tag[VLAN_TAG_LEN] = {(uint8_t)(tpid >> 8), (uint8_t)tpid,
                                 (uint8_t)(tci >> 8), (uint8_t)tci};
    uint8_t *data = packet_push(packet, VLAN_TAG_LEN);

    memmove(data, packet->data, 2 * ETH_ALEN);
    memcpy(data + 2 * ETH_ALEN, tag, sizeof(tag));
    packet->data = data;
    packet->len += VLAN_TAG_LEN;
    packet->headroom -= VLAN_TAG_LEN;
    if (packet->vnet.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
        packet->vnet.csum_start += VLAN_TAG_LEN;
    }
    if (packet->vnet.hdr_len > 0) {
        packet->vnet.hdr_len += VLAN_TAG_LEN;
    }
}

/* @status as in a tpacket2_hdr. */
static void packet_restore_tag(Packet *packet, uint32_t status, uint16_t tpid,
                               uint16_t tci)
{
    if (status & TP_STATUS_VLAN_VALID) {
        packet_restore_vlan(
            packet, status & TP_STATUS_VLAN_TPID_VALID ? tpid : ETH_P_8021Q,
            tci);
    }
}

static Direction packet_direction(const struct sockaddr_ll *address)
{
    return address->sll_pkttype == PACKET_OUTGOING ? DIRECTION_TX
                                                   : DIRECTION_RX;
}

/* Receives a whole frame into the buffer, which has room. False: there is none,
 * or it is malformed. */
static bool socket_receive(const CaptureSocket *self, CaptureBuffer *buffer,
                           Packet *packet, struct msghdr *message)
{
    uint8_t *data = buffer->bytes + buffer->used + BUFFER_HEADROOM;
    struct iovec iov = {data - VNET_HDR_LEN, VNET_HDR_LEN + PACKET_MAX_LEN};
    ssize_t n;

    message->msg_iov = &iov;
    message->msg_iovlen = 1;
    n = recvmsg(self->fd, message, MSG_DONTWAIT);
    if (n < (ssize_t)(VNET_HDR_LEN + ETH_HLEN)) {
        return false;
    }
    memcpy(&packet->vnet, data - VNET_HDR_LEN, VNET_HDR_LEN);
    packet->data = data;
    packet->len = (uint32_t)n - VNET_HDR_LEN;
    packet->headroom = BUFFER_HEADROOM;
    buffer->used += BUFFER_HEADROOM + packet->len;
    return true;
}

static bool buffer_has_room(CaptureBuffer *buffer)
{
    if (!buffer->bytes) {
        buffer->bytes = g_malloc(BUFFER_SIZE);
    }
    return BUFFER_SIZE - buffer->used >= BUFFER_HEADROOM + PACKET_MAX_LEN;
}

/* Control messages with a frame. */
static void socket_read_control(CaptureSocket *self, struct msghdr *message,
                                Packet *packet, bool *losing)
{
    struct tpacket_auxdata aux = {0};
    struct timespec time;
    uint32_t overflowed = self->overflowed;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c;
         c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level == SOL_PACKET && c->cmsg_type == PACKET_AUXDATA) {
            memcpy(&aux, CMSG_DATA(c), sizeof(aux));
        } else if (c->cmsg_level == SOL_SOCKET &&
                   c->cmsg_type == SCM_TIMESTAMPNS) {
            memcpy(&time, CMSG_DATA(c), sizeof(time));
            packet->time_ns = (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
        } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) {
            memcpy(&overflowed, CMSG_DATA(c), sizeof(overflowed));
        }
    }
    *losing = overflowed != self->overflowed;
    self->overflowed = overflowed;
    packet_restore_tag(packet, aux.tp_status, aux.tp_vlan_tpid,
                       aux.tp_vlan_tci);
}

static CaptureTake socket_take_plain(CaptureSocket *self, CaptureBuffer *buffer,
                                     Packet *packet, Direction *direction,
                                     bool *losing)
{
    struct sockaddr_ll address;
    _Alignas(struct cmsghdr) uint8_t control[256];
    struct msghdr message = {
        .msg_name = &address,
        .msg_namelen = sizeof(address),
        .msg_control = control,
        .msg_controllen = sizeof(control),
    };

    if (!buffer_has_room(buffer)) {
        return CAPTURE_TAKE_LATER;
    }
    *packet = (Packet){.origin = ORIGIN_OBSERVED};
    if (!socket_receive(self, buffer, packet, &message)) {
        return CAPTURE_TAKE_NONE;
    }
    *direction = packet_direction(&address);
    socket_read_control(self, &message, packet, losing);
    return message.msg_flags & MSG_TRUNC ? CAPTURE_TAKE_CUT
                                         : CAPTURE_TAKE_FRAME;
}

static struct tpacket2_hdr *ring_slot(const CaptureSocket *self, unsigned slot)
{
    return (struct tpacket2_hdr *)(self->ring +
                                   (size_t)(slot % SLOTS) * SLOT_SIZE);
}

static CaptureTake socket_take_ring(CaptureSocket *self, CaptureBuffer *buffer,
                                    Packet *packet, Direction *direction,
                                    bool *losing)
{
    struct tpacket2_hdr *hdr = ring_slot(self, self->slot);
    uint32_t status = __atomic_load_n(&hdr->tp_status, __ATOMIC_ACQUIRE);
    uint8_t *data = (uint8_t *)hdr + hdr->tp_mac;
    struct msghdr message = {0};

    if (!(status & TP_STATUS_USER)) {
        return CAPTURE_TAKE_NONE;
    }
    if ((status & TP_STATUS_COPY) && !buffer_has_room(buffer)) {
        return CAPTURE_TAKE_LATER;
    }
    *losing = status & TP_STATUS_LOSING;
    *direction = packet_direction(
        (const struct sockaddr_ll *)((const uint8_t *)hdr +
                                     TPACKET_ALIGN(sizeof(*hdr))));
    *packet = (Packet){
        .data = data,
        .len = hdr->tp_snaplen,
        .origin = ORIGIN_OBSERVED,
        .time_ns = (int64_t)hdr->tp_sec * 1000000000 + hdr->tp_nsec,
        .headroom = (uint16_t)(hdr->tp_mac - TPACKET2_HDRLEN),
    };
    self->slot = (self->slot + 1) % SLOTS;
    if (!(status & TP_STATUS_COPY)) {
        memcpy(&packet->vnet, data - VNET_HDR_LEN, VNET_HDR_LEN);
    } else if (!socket_receive(self, buffer, packet, &message)) {
        return CAPTURE_TAKE_CUT;
    }
    if (packet->len < hdr->tp_len || packet->len < ETH_HLEN) {
        return CAPTURE_TAKE_CUT;
    }
    packet_restore_tag(packet, status, hdr->tp_vlan_tpid, hdr->tp_vlan_tci);
    return CAPTURE_TAKE_FRAME;
}

CaptureTake capture_socket_take(CaptureSocket *self, CaptureBuffer *buffer,
                                Packet *packet, Direction *direction,
                                bool *losing)
{
    return self->ring
               ? socket_take_ring(self, buffer, packet, direction, losing)
               : socket_take_plain(self, buffer, packet, direction, losing);
}

void capture_socket_release(CaptureSocket *self, unsigned keep)
{
    unsigned end = (self->slot + SLOTS - keep) % SLOTS;

    if (!self->ring) {
        return;
    }
    for (; self->first != end; self->first = (self->first + 1) % SLOTS) {
        __atomic_store_n(&ring_slot(self, self->first)->tp_status,
                         TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    }
}

uint64_t capture_socket_lost(const CaptureSocket *self)
{
    struct tpacket_stats stats;
    socklen_t length = sizeof(stats);

    /* Reading the counters resets them, and TP_STATUS_LOSING with them. */
    return getsockopt(self->fd, SOL_PACKET, PACKET_STATISTICS, &stats,
                      &length) == 0
               ? stats.tp_drops
               : 0;
}
