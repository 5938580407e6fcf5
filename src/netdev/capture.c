/* SPDX-License-Identifier: BSD-2-Clause */
#include "netdev/capture.h"

#include "base/closer.h"
#include "base/error.h"
#include "base/loop.h"
#include "packet/vnet.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>

#define SLOT_SIZE 2048u
#define SLOTS 2048u
#define BLOCK_SIZE (64u * 1024)
#define RING_SIZE ((size_t)SLOT_SIZE * SLOTS)
/* For the whole copies of frames larger than a slot. */
#define LARGE_FRAMES_BYTES (32 * 1024 * 1024)
/* Frames a wakeup, so that one busy interface does not starve the rest. */
#define WAKEUP_BUDGET 1024u
#define VLAN_TAG_LEN 4
/* In front of a large frame's bytes, behind its header or without one. */
#define LARGE_HEADROOM 32
/* A frame that far ahead is fetched from where another processor wrote it. */
#define PREFETCH_SLOTS 6
/*
 * Frames that come closer together than that, over so many of them, are a
 * flood: then the ring is looked at by a timer. A wakeup for each costs more
 * than the frame, here and where it is sent.
 */
#define FLOOD_INTERVAL_NS 6000
#define FLOOD_FRAMES 64
#define FLOOD_LOOK_US 100
/* Of a program's instructions; the kernel takes 4,096 of them (BPF_MAXINSNS).
 * A longer one is left to whoever looks again. */
#define CAPTURE_MATCH_MAX 1024

struct Capture {
    unsigned directions;
    const CaptureHandlers *handlers;
    void *opaque;
    struct sock_filter *match; /* capture_set_match(), owned */
    size_t match_len;
    int fd;
    LoopWatch watch;
    LoopTimer look;   /* runs while there is a flood, and nothing is watched */
    unsigned counted; /* frames since @counted_ns, the time of the first */
    int64_t counted_ns;
    bool flooded;
    bool paused;
    LoopTimer unpaused; /* looks for losses behind a pause */
    bool detached;      /* by a handler, while frames are handed out */
    bool draining;
    uint8_t *ring;
    unsigned slot;  /* the next to be read */
    uint8_t *large; /* buffer for a frame larger than a slot */
    PacketBatch batch;
    Direction direction; /* of the batch */
    unsigned first;      /* slot of the batch's first frame */
};

static void capture_look(void *opaque);
static void capture_unpaused(void *opaque);

Capture *capture_new(unsigned directions, const CaptureHandlers *handlers,
                     void *opaque)
{
    Capture *self = g_new0(Capture, 1);

    self->directions = directions;
    self->handlers = handlers;
    self->opaque = opaque;
    self->fd = -1;
    self->watch = LOOP_WATCH_INIT;
    self->look = LOOP_TIMER_INIT;
    loop_timer_open(&self->look, capture_look, self);
    loop_timer_open(&self->unpaused, capture_unpaused, self);
    return self;
}

void capture_free(Capture *self)
{
    if (self) {
        loop_timer_close(&self->unpaused);
        capture_detach(self);
        loop_timer_close(&self->look);
        g_free(self->large);
        g_free(self->match);
        g_free(self);
    }
}

static struct tpacket2_hdr *capture_slot(Capture *self, unsigned slot)
{
    return (struct tpacket2_hdr *)(self->ring + (size_t)slot * SLOT_SIZE);
}

/* Leaves our own frames, the other direction, and what @match does not take
 * to the kernel. */
static bool capture_set_filter(Capture *self)
{
    bool tx = self->directions & CAPTURE_TX, rx = self->directions & CAPTURE_RX;
    const struct sock_filter head[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                 (uint32_t)(SKF_AD_OFF + SKF_AD_MARK)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CAPTURE_OWN_MARK, 2, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                 (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, tx, rx),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                 (uint32_t)(SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT)),
        /* Without a program there is nothing behind it to go on with. */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, self->match_len > 0, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    struct sock_filter code[G_N_ELEMENTS(head) + CAPTURE_MATCH_MAX];
    struct sock_fprog program = {
        .len = (unsigned short)(G_N_ELEMENTS(head) + self->match_len),
        .filter = code,
    };

    memcpy(code, head, sizeof(head));
    if (self->match_len > 0) {
        memcpy(code + G_N_ELEMENTS(head), self->match,
               self->match_len * sizeof(code[0]));
    }
    return setsockopt(self->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program,
                      sizeof(program)) == 0;
}

void capture_set_match(Capture *self, const struct sock_fprog *match)
{
    bool fits = match && match->len <= CAPTURE_MATCH_MAX;

    g_clear_pointer(&self->match, g_free);
    self->match_len = fits ? match->len : 0;
    if (fits) {
        self->match =
            g_memdup2(match->filter, match->len * sizeof(match->filter[0]));
    }
    if (self->fd >= 0 && !capture_set_filter(self)) {
        /* The kernel takes no such program: all come up to us. */
        self->match_len = 0;
        capture_set_filter(self);
    }
}

static bool capture_set(int fd, int option, int value)
{
    return setsockopt(fd, SOL_PACKET, option, &value, sizeof(value)) == 0;
}

static bool capture_make_ring(Capture *self)
{
    struct tpacket_req request = {
        .tp_block_size = BLOCK_SIZE,
        .tp_block_nr = (unsigned)(RING_SIZE / BLOCK_SIZE),
        .tp_frame_size = SLOT_SIZE,
        .tp_frame_nr = SLOTS,
    };
    int bytes = LARGE_FRAMES_BYTES;

    setsockopt(self->fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
    if (!capture_set(self->fd, PACKET_VERSION, TPACKET_V2) ||
        /* Before the ring is made: afterwards it is EBUSY. */
        !capture_set(self->fd, PACKET_VNET_HDR, 1) ||
        !capture_set(self->fd, PACKET_AUXDATA, 1) ||
        !capture_set(self->fd, PACKET_COPY_THRESH, 1) ||
        setsockopt(self->fd, SOL_PACKET, PACKET_RX_RING, &request,
                   sizeof(request)) < 0) {
        return false;
    }
    self->ring =
        mmap(NULL, RING_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd, 0);
    if (self->ring == MAP_FAILED) {
        self->ring = NULL;
        return false;
    }
    self->slot = 0;
    return true;
}

static void capture_ready(void *opaque, uint32_t events);

bool capture_attach(Capture *self, int ifindex, GError **errp)
{
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET,
        /* All protocols: others do not see what goes out. */
        .sll_protocol = htons(ETH_P_ALL),
        .sll_ifindex = ifindex,
    };

    g_assert(self->fd < 0);
    /* Protocol 0: nothing is captured before the filter stands. */
    self->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (self->fd < 0) {
        return tf_error_set_errno(errp, errno, "can not open a packet socket%s",
                                  errno == EPERM ? " (CAP_NET_RAW is needed)"
                                                 : "");
    }
    if (!capture_set_filter(self) || !capture_make_ring(self) ||
        bind(self->fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        tf_error_set_errno(errp, errno, "can not capture");
        capture_detach(self);
        return false;
    }
    loop_watch_add(&self->watch, self->fd, self->paused ? 0 : EPOLLIN,
                   capture_ready, self);
    return true;
}

void capture_detach(Capture *self)
{
    if (self->fd < 0) {
        return;
    }
    loop_watch_remove(&self->watch);
    if (self->draining) {
        self->detached = true; /* the ring is still being read */
        return;
    }
    if (self->ring) {
        munmap(self->ring, RING_SIZE);
        self->ring = NULL;
    }
    closer_close(self->fd);
    self->fd = -1;
}

/* Hands the batch out, then its slots back to the kernel. */
static void capture_flush(Capture *self)
{
    unsigned n = self->batch.n;

    if (n > 0 && !self->detached) {
        self->handlers->packets(self->opaque, self->direction, &self->batch);
    }
    for (unsigned slot = self->first; slot != self->slot;
         slot = (slot + 1) % SLOTS) {
        __atomic_store_n(&capture_slot(self, slot)->tp_status, TP_STATUS_KERNEL,
                         __ATOMIC_RELEASE);
    }
    self->first = self->slot;
    self->batch.n = 0;
}

static void capture_report_lost(Capture *self)
{
    struct tpacket_stats stats;
    socklen_t length = sizeof(stats);

    capture_flush(self);
    /* Reading the counters resets them, and TP_STATUS_LOSING with them. */
    if (getsockopt(self->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &length) ==
            0 &&
        stats.tp_drops > 0 && !self->detached) {
        self->handlers->lost(self->opaque, stats.tp_drops);
    }
}

/* Moves the addresses forward and writes the tag behind them. The room in
 * front of @data is the slot's virtio-net header, which is read already. */
static void capture_restore_vlan(Packet *packet, uint8_t *data, uint16_t tpid,
                                 uint16_t tci)
{
    uint8_t tag[VLAN_TAG_LEN] = {(uint8_t)(tpid >> 8), (uint8_t)tpid,
                                 (uint8_t)(tci >> 8), (uint8_t)tci};

    memmove(data - VLAN_TAG_LEN, data, 2 * ETH_ALEN);
    memcpy(data - VLAN_TAG_LEN + 2 * ETH_ALEN, tag, sizeof(tag));
    packet->data = data - VLAN_TAG_LEN;
    packet->len += VLAN_TAG_LEN;
    packet->headroom -= VLAN_TAG_LEN;
    if (packet->vnet.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
        packet->vnet.csum_start += VLAN_TAG_LEN;
    }
    if (packet->vnet.hdr_len > 0) {
        packet->vnet.hdr_len += VLAN_TAG_LEN;
    }
}

/* Takes the whole of a frame that was larger than its slot off the socket. */
static uint8_t *capture_recv_large(Capture *self, Packet *packet)
{
    ssize_t n;

    if (!self->large) {
        self->large = g_malloc(LARGE_HEADROOM + PACKET_MAX_LEN);
    }
    n = recv(self->fd, self->large + LARGE_HEADROOM - VNET_HDR_LEN,
             PACKET_MAX_LEN, MSG_DONTWAIT);
    if (n < (ssize_t)VNET_HDR_LEN) {
        return NULL;
    }
    memcpy(&packet->vnet, self->large + LARGE_HEADROOM - VNET_HDR_LEN,
           VNET_HDR_LEN);
    packet->len = (uint32_t)n - (uint32_t)VNET_HDR_LEN;
    packet->headroom = LARGE_HEADROOM;
    return self->large + LARGE_HEADROOM;
}

/* Makes @packet of the next slot; false: its bytes are lost. */
static bool capture_take(Capture *self, struct tpacket2_hdr *hdr,
                         Packet *packet)
{
    uint8_t *data = (uint8_t *)hdr + hdr->tp_mac;
    uint16_t tpid = ETH_P_8021Q;

    *packet = (Packet){
        .len = hdr->tp_snaplen,
        .origin = ORIGIN_OBSERVED,
        .time_ns = (int64_t)hdr->tp_sec * 1000000000 + hdr->tp_nsec,
    };
    if (hdr->tp_status & TP_STATUS_COPY) {
        data = capture_recv_large(self, packet);
    } else {
        memcpy(&packet->vnet, data - VNET_HDR_LEN, VNET_HDR_LEN);
        packet->headroom = (uint16_t)(hdr->tp_mac - TPACKET2_HDRLEN);
    }
    if (!data || packet->len < hdr->tp_len || packet->len < ETH_HLEN) {
        return false;
    }
    packet->data = data;
    if (hdr->tp_status & TP_STATUS_VLAN_VALID) {
        if (hdr->tp_status & TP_STATUS_VLAN_TPID_VALID) {
            tpid = hdr->tp_vlan_tpid;
        }
        capture_restore_vlan(packet, data, tpid, hdr->tp_vlan_tci);
    }
    return true;
}

static Direction capture_direction(const struct tpacket2_hdr *hdr)
{
    const struct sockaddr_ll *address =
        (const struct sockaddr_ll *)((const uint8_t *)hdr +
                                     TPACKET_ALIGN(sizeof(*hdr)));

    return address->sll_pkttype == PACKET_OUTGOING ? DIRECTION_TX
                                                   : DIRECTION_RX;
}

static void capture_prefetch(Capture *self)
{
    const uint8_t *ahead = (const uint8_t *)capture_slot(
        self, (self->slot + PREFETCH_SLOTS) % SLOTS);

    __builtin_prefetch(ahead, 1);
    __builtin_prefetch(ahead + 64, 1);
    __builtin_prefetch(ahead + 128);
}

/* A frame is read that came at @time_ns: is there a flood? */
static void capture_count(Capture *self, int64_t time_ns)
{
    if (++self->counted == FLOOD_FRAMES) {
        self->flooded = time_ns - self->counted_ns <
                        (int64_t)FLOOD_FRAMES * FLOOD_INTERVAL_NS;
        self->counted = 0;
        self->counted_ns = time_ns;
    }
}

/* Watches the ring, or looks at it again in a while. */
static void capture_watch(Capture *self, bool more)
{
    bool later = self->flooded && !more;

    if (self->fd < 0 || self->watch.fd < 0) {
        return;
    }
    loop_watch_modify(&self->watch, self->paused || later ? 0 : EPOLLIN);
    if (later && !self->paused) {
        loop_timer_set(&self->look, FLOOD_LOOK_US);
    }
}

/* Reads up to @budget frames; true if the ring may hold more. */
static bool capture_read(Capture *self, unsigned budget)
{
    self->draining = true;
    self->first = self->slot;
    while (budget > 0 && !self->detached) {
        struct tpacket2_hdr *hdr = capture_slot(self, self->slot);
        uint32_t status = __atomic_load_n(&hdr->tp_status, __ATOMIC_ACQUIRE);
        Direction direction;

        if (!(status & TP_STATUS_USER)) {
            break;
        }
        capture_prefetch(self);
        if (status & TP_STATUS_LOSING) {
            capture_report_lost(self);
        }
        direction = capture_direction(hdr);
        /* There is one buffer for large frames: they travel alone. */
        if (self->batch.n == PACKET_BATCH_MAX || direction != self->direction ||
            (status & TP_STATUS_COPY)) {
            capture_flush(self);
        }
        self->direction = direction;
        if (capture_take(self, hdr, &self->batch.packets[self->batch.n])) {
            capture_count(self, self->batch.packets[self->batch.n].time_ns);
            self->batch.n++;
        } else {
            capture_flush(self);
            self->handlers->lost(self->opaque, 1);
        }
        self->slot = (self->slot + 1) % SLOTS;
        budget--;
        if (status & TP_STATUS_COPY) {
            capture_flush(self);
        }
    }
    capture_flush(self);
    self->draining = false;
    if (self->detached) {
        self->detached = false;
        capture_detach(self);
        return false;
    }
    return budget == 0;
}

void capture_drain(Capture *self)
{
    if (self->fd >= 0 && !self->draining && !self->paused) {
        capture_read(self, SLOTS);
        /* Losses with no frame behind them that would carry the sign. */
        if (self->fd >= 0) {
            capture_report_lost(self);
        }
    }
}

/* What a wakeup does. */
static void capture_turn(Capture *self)
{
    unsigned slot = self->slot;
    bool more = capture_read(self, WAKEUP_BUDGET);

    self->flooded &= more || self->slot != slot; /* else it is over */
    capture_watch(self, more);
}

static void capture_look(void *opaque)
{
    Capture *self = opaque;

    if (self->fd >= 0 && !self->paused) {
        capture_turn(self);
    }
}

static void capture_ready(void *opaque, uint32_t events)
{
    Capture *self = opaque;
    int error;
    socklen_t length = sizeof(error);

    if (events & EPOLLERR) {
        /* The interface went down or away: netlink tells what follows. */
        getsockopt(self->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    }
    if (!self->paused) {
        capture_turn(self);
    }
}

/* The ring may have been full, and then hold no frame that says so. */
static void capture_unpaused(void *opaque)
{
    capture_drain(opaque);
}

void capture_pause(Capture *self, bool paused)
{
    if (self->paused && !paused) {
        loop_timer_set(&self->unpaused, 0);
    }
    self->paused = paused;
    self->flooded = false;
    capture_watch(self, false);
}
