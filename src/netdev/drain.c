/* SPDX-License-Identifier: BSD-2-Clause */
#include "netdev/drain.h"

#include "base/loop.h"
#include "netdev/tun-fd.h"
#include "packet/vnet.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/if_ether.h>

/* Frames of a queue per wakeup, so that others are not starved. */
#define BUDGET 256
/* Frames of a queue per drain_run(): more may arrive while it reads. */
#define RUN_MAX 65536

typedef struct DrainQueue {
    Drain *drain;
    int fd;
    LoopWatch watch;
} DrainQueue;

struct Drain {
    DrainFunc *func;
    void *opaque;
    uint8_t buffer[VNET_HDR_MRG_LEN + PACKET_MAX_LEN];
    unsigned n_queues;
    DrainQueue queues[];
};

/* Never blocks, whatever flags the VMM has set on its descriptor. */
static ssize_t drain_read(int fd, uint8_t *buffer, size_t size)
{
    struct iovec iov = {buffer, size};
    ssize_t n = preadv2(fd, &iov, 1, -1, RWF_NOWAIT);

    if (n < 0 && errno == EOPNOTSUPP && (fcntl(fd, F_GETFL) & O_NONBLOCK)) {
        n = read(fd, buffer, size);
    }
    return n;
}

/* Reads one frame; false if there is none. */
static bool drain_take(DrainQueue *queue)
{
    Drain *self = queue->drain;
    /* It may have changed when the guest's features were set. */
    int vnet_len = tun_fd_vnet_hdr_len(queue->fd);
    ssize_t n = drain_read(queue->fd, self->buffer, sizeof(self->buffer));
    Packet packet;

    if (n <= 0 || vnet_len < 0) {
        return false;
    }
    if (n >= vnet_len + ETH_HLEN) {
        packet = vnet_parse(self->buffer, (uint32_t)n, (uint32_t)vnet_len);
        packet.queue = (uint16_t)(queue - self->queues);
        self->func(self->opaque, &packet);
    }
    return true;
}

/* @func may call drain_set_on(), but not drain_free(). */
static void drain_readable(void *opaque, uint32_t events)
{
    DrainQueue *queue = opaque;

    if (events & (EPOLLERR | EPOLLHUP)) {
        loop_watch_remove(&queue->watch); /* the interface is deleted */
        return;
    }
    for (unsigned n = 0; n < BUDGET && drain_take(queue); n++) {
    }
}

void drain_run(Drain *self)
{
    for (unsigned i = 0; i < self->n_queues; i++) {
        for (unsigned n = 0; n < RUN_MAX && drain_take(&self->queues[i]); n++) {
        }
    }
}

void drain_set_on(Drain *self, bool on)
{
    for (unsigned i = 0; i < self->n_queues; i++) {
        DrainQueue *queue = &self->queues[i];

        if (!on) {
            loop_watch_remove(&queue->watch);
        } else if (queue->watch.fd < 0) {
            loop_watch_add(&queue->watch, queue->fd, EPOLLIN, drain_readable,
                           queue);
        }
    }
}

unsigned drain_queues(const Drain *self)
{
    return self->n_queues;
}

Drain *drain_new(Tap *tap, pid_t pid, DrainFunc *func, void *opaque,
                 GError **errp)
{
    int fds[TUN_QUEUES_MAX];
    int n = tun_fd_get(pid, tap_ifname(tap), fds, TUN_QUEUES_MAX, errp);
    Drain *self;

    if (n == 0) {
        return NULL;
    }
    self = g_malloc0(sizeof(*self) + (size_t)n * sizeof(self->queues[0]));
    self->func = func;
    self->opaque = opaque;
    self->n_queues = (unsigned)n;
    for (int i = 0; i < n; i++) {
        self->queues[i] = (DrainQueue){self, fds[i], LOOP_WATCH_INIT};
    }
    return self;
}

void drain_free(Drain *self)
{
    if (self) {
        drain_set_on(self, false);
        for (unsigned i = 0; i < self->n_queues; i++) {
            close(self->queues[i].fd);
        }
        g_free(self);
    }
}
