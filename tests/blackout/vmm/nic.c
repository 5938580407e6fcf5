/* SPDX-License-Identifier: BSD-2-Clause */
#include "nic.h"

#include "record.h"

#include <endian.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define READS_AT_ONCE 64
#define VNET_HDR_LEN 10
/* The guest's virtio-net header, in front of each frame. */
#define BUFFER_HEADER 12
/* What a receive buffer takes, as Linux makes them: the header, and a frame of
 * 1,500 bytes in any case; they grow with the frames that come
 * (get_mergeable_buf_len(), drivers/net/virtio_net.c). */
#define BUFFER_LEN 1536
#define BUFFER_STEP 64
#define BUFFER_STEPS 8
/* From the moment when the guest stands still until STOP is said. */
#define SWALLOW_MS 8
/* So that the index wraps soon. */
#define USED_START 0xfff0

typedef struct Frame {
    ssize_t len; /* 0: none */
    uint8_t data[NIC_FRAME_MAX];
} Frame;

/* A split ring (virtio 1.2, 2.7.8). */
typedef struct UsedRing {
    uint16_t flags, index;
    struct {
        uint32_t id, len;
    } entries[NIC_RING_SIZE];
} UsedRing;

typedef struct Queue {
    int fd;
    bool starved; /* the guest has no buffer: nothing is taken until it has */
    Frame held;   /* taken, and there is no buffer for it yet */
} Queue;

static NicOptions config;
static int epoll_fd, timer_fd;
static Queue queues[NIC_QUEUES_MAX];
static UsedRing rings[NIC_QUEUES_MAX];
static Frame kept; /* the last one swallowed */
static unsigned kept_queue;
static bool is_running;
static unsigned rate, tokens;
static unsigned swallow_left;

static void queue_watch(unsigned i)
{
    bool wanted = is_running ? !queues[i].starved : swallow_left > 0;
    struct epoll_event event = {
        .events = wanted ? EPOLLIN : 0,
        .data.u64 = i,
    };

    if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, queues[i].fd, &event) < 0) {
        err(1, "epoll");
    }
}

static void nic_watch_all(void)
{
    for (unsigned i = 0; i < config.n_queues; i++) {
        queue_watch(i);
    }
}

static bool queue_take(unsigned i, Frame *frame)
{
    frame->len = read(queues[i].fd, frame->data, sizeof(frame->data));
    if (frame->len < 0) {
        frame->len = 0;
    }
    return frame->len > 0;
}

static uint32_t next_buffer(void)
{
    static uint32_t x = 1;

    x = x * 1103515245 + 12345; /* C11, 7.22.2.2 */
    return BUFFER_LEN + (x >> 16) % BUFFER_STEPS * BUFFER_STEP;
}

/* Writes @len bytes into as many buffers as they take, and then the index, as
 * QEMU and vhost-net do. */
static void ring_use(UsedRing *ring, uint32_t len)
{
    uint16_t index = ring->index;

    while (len > 0) {
        uint32_t room = next_buffer(), take = len < room ? len : room;

        ring->entries[index++ % NIC_RING_SIZE].len = htole32(take);
        len -= take;
    }
    __atomic_store_n(&ring->index, index, __ATOMIC_RELEASE);
}

static void queue_give(unsigned i, Frame *frame)
{
    unsigned vnet_len = config.vnet ? VNET_HDR_LEN : 0;

    record_add(i, vnet_len, frame->data, (uint32_t)frame->len);
    ring_use(&rings[i], BUFFER_HEADER + (uint32_t)frame->len - vnet_len);
    frame->len = 0;
}

static bool nic_has_buffer(void)
{
    if (rate == 0) {
        return true;
    }
    if (tokens == 0) {
        return false;
    }
    tokens--;
    return true;
}

static void queue_pump(unsigned i)
{
    static Frame frame;
    Queue *queue = &queues[i];

    queue->starved = false;
    for (unsigned n = 0; n < READS_AT_ONCE && !queue->starved; n++) {
        bool room = nic_has_buffer();

        if (!room) {
            queue->starved = true;
            /* QEMU takes a frame before it looks for a buffer. */
            if (config.manner == MANNER_USER && queue->held.len == 0) {
                queue_take(i, &queue->held);
            }
        } else if (queue->held.len > 0) {
            queue_give(i, &queue->held);
        } else if (queue_take(i, &frame)) {
            queue_give(i, &frame);
        } else {
            tokens += rate != 0;
            break;
        }
    }
    queue_watch(i);
}

static void queue_swallow(unsigned i)
{
    while (swallow_left > 0 && queue_take(i, &kept)) {
        kept_queue = i;
        swallow_left--;
    }
    if (swallow_left == 0) {
        nic_watch_all();
    }
}

void nic_readable(unsigned queue)
{
    if (is_running) {
        queue_pump(queue);
    } else {
        queue_swallow(queue);
    }
}

void nic_tick(void)
{
    uint64_t ticks;

    if (read(timer_fd, &ticks, sizeof(ticks)) != sizeof(ticks) || !rate) {
        return;
    }
    tokens = rate / 500 + 1;
    if (is_running) {
        for (unsigned i = 0; i < config.n_queues; i++) {
            queue_pump(i);
        }
    }
}

void nic_set_rate(unsigned frames_per_second)
{
    /* Every 2 ms some: see nic_tick(). */
    struct itimerspec every = {{0, 2000000}, {0, 2000000}};

    rate = frames_per_second;
    tokens = 0;
    if (rate == 0) {
        every = (struct itimerspec){0};
    }
    timerfd_settime(timer_fd, 0, &every, NULL);
    if (rate == 0 && is_running) {
        for (unsigned i = 0; i < config.n_queues; i++) {
            queue_pump(i);
        }
    }
}

void nic_set_running(bool running)
{
    is_running = running;
    swallow_left = 0;
    for (unsigned i = 0; i < config.n_queues; i++) {
        Queue *queue = &queues[i];

        queue->starved = false;
        if (!running && queue->held.len > 0) {
            kept = queue->held; /* taken, never given: swallowed as well */
            kept_queue = i;
            queue->held.len = 0;
        }
    }
    if (running && kept.len > 0 && config.manner == MANNER_USER) {
        queue_give(kept_queue, &kept);
    }
    if (running) {
        kept.len = 0;
    }
    nic_watch_all();
}

void nic_swallow(unsigned n)
{
    struct pollfd waiting[NIC_QUEUES_MAX];

    swallow_left = n;
    for (unsigned i = 0; i < config.n_queues; i++) {
        waiting[i] = (struct pollfd){queues[i].fd, POLLIN, 0};
    }
    for (unsigned ms = 0; ms < SWALLOW_MS && swallow_left > 0; ms++) {
        poll(waiting, config.n_queues, 1);
        for (unsigned i = 0; i < config.n_queues; i++) {
            queue_swallow(i);
        }
    }
}

void nic_swallow_later(unsigned n)
{
    swallow_left = n;
    nic_watch_all();
}

void nic_forget_kept(void)
{
    kept.len = 0;
}

unsigned nic_destroy(unsigned n)
{
    unsigned destroyed = 0;
    uint8_t byte;

    /* A buffer too small for the virtio-net header: the kernel takes the
     * frame out of its queue, fails, and frees it without counting. */
    while (destroyed < n && read(queues[0].fd, &byte, 1) < 0 &&
           errno == EINVAL) {
        destroyed++;
    }
    return destroyed;
}

void nic_reset(void)
{
    for (unsigned i = 0; i < config.n_queues; i++) {
        rings[i].index = 0;
    }
}

void nic_open(const NicOptions *options, int epoll)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};

    config = *options;
    epoll_fd = epoll;
    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    record_open(config.record);
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", config.ifname);
    request.ifr_flags |= config.vnet ? IFF_VNET_HDR : 0;
    request.ifr_flags |= config.n_queues > 1 ? IFF_MULTI_QUEUE : 0;
    for (unsigned i = 0; i < config.n_queues; i++) {
        struct epoll_event event = {.data.u64 = i};
        int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

        if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0 ||
            (config.vnet && ioctl(fd, TUNSETOFFLOAD, config.offloads) < 0) ||
            epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
            err(1, "%s", config.ifname);
        }
        queues[i].fd = fd;
        rings[i].index = USED_START;
    }
}

void nic_close(void)
{
    for (unsigned i = 0; i < config.n_queues; i++) {
        close(queues[i].fd);
    }
}

unsigned nic_queues(void)
{
    return config.n_queues;
}

const char *nic_ifname(void)
{
    return config.ifname;
}

uint16_t nic_used(unsigned queue)
{
    return rings[queue].index;
}

uintptr_t nic_ring_address(unsigned queue)
{
    return (uintptr_t)&rings[queue];
}

int nic_timer(void)
{
    return timer_fd;
}
