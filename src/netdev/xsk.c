/* SPDX-License-Identifier: BSD-2-Clause */
#include "netdev/xsk.h"

#include "base/closer.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib.h>
#include <linux/if_xdp.h>

/* Frames per call, as in the kernel (net/xdp/xsk.c, TX_BATCH_SIZE). */
#define XSK_BATCH 32
/* Entries of each ring, a power of 2. */
#define XSK_SLOTS 64
#define XSK_AREA (XSK_BATCH * XSK_FRAME_MAX)
/* An address outside of the area: the kernel skips the descriptor. */
#define XSK_NOWHERE UINT64_MAX

typedef struct XskRing {
    void *map;
    size_t size;
    uint32_t *producer, *consumer; /* shared with the kernel */
    void *slots;
} XskRing;

struct Xsk {
    int fd;
    uint8_t *area; /* room for each frame of a batch */
    XskRing sent;  /* struct xdp_desc, ours */
    XskRing done;  /* uint64_t, the kernel's */
};

static bool xsk_map(const Xsk *self, XskRing *ring,
                    const struct xdp_ring_offset *offset, size_t slot_size,
                    off_t what)
{
    uint8_t *map;

    ring->size = offset->desc + XSK_SLOTS * slot_size;
    map = mmap(NULL, ring->size, PROT_READ | PROT_WRITE,
               MAP_SHARED | MAP_POPULATE, self->fd, what);
    if (map == MAP_FAILED) {
        return false;
    }
    *ring = (XskRing){.map = map,
                      .size = ring->size,
                      .producer = (uint32_t *)(map + offset->producer),
                      .consumer = (uint32_t *)(map + offset->consumer),
                      .slots = map + offset->desc};
    return true;
}

static bool xsk_set_up(Xsk *self, int ifindex, uint32_t mark)
{
    struct sockaddr_xdp address = {.sxdp_family = AF_XDP,
                                   .sxdp_flags = XDP_COPY,
                                   .sxdp_ifindex = (uint32_t)ifindex};
    struct xdp_umem_reg area = {.addr = (uintptr_t)self->area,
                                .len = XSK_AREA,
                                .chunk_size = XSK_FRAME_MAX};
    struct xdp_mmap_offsets at;
    socklen_t len = sizeof(at);
    int slots = XSK_SLOTS, none = 2; /* the minimum; nothing is received */

    return !setsockopt(self->fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) &&
           !setsockopt(self->fd, SOL_XDP, XDP_UMEM_REG, &area, sizeof(area)) &&
           !setsockopt(self->fd, SOL_XDP, XDP_UMEM_FILL_RING, &none,
                       sizeof(none)) &&
           !setsockopt(self->fd, SOL_XDP, XDP_UMEM_COMPLETION_RING, &slots,
                       sizeof(slots)) &&
           !setsockopt(self->fd, SOL_XDP, XDP_TX_RING, &slots, sizeof(slots)) &&
           !getsockopt(self->fd, SOL_XDP, XDP_MMAP_OFFSETS, &at, &len) &&
           xsk_map(self, &self->sent, &at.tx, sizeof(struct xdp_desc),
                   XDP_PGOFF_TX_RING) &&
           xsk_map(self, &self->done, &at.cr, sizeof(uint64_t),
                   (off_t)XDP_UMEM_PGOFF_COMPLETION_RING) &&
           !bind(self->fd, (struct sockaddr *)&address, sizeof(address));
}

Xsk *xsk_open(int ifindex, uint32_t mark)
{
    Xsk *self = g_new0(Xsk, 1);
    int error;

    self->area = mmap(NULL, XSK_AREA, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    self->fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (self->area != MAP_FAILED && self->fd >= 0 &&
        xsk_set_up(self, ifindex, mark)) {
        return self;
    }
    error = errno;
    xsk_close(self);
    errno = error;
    return NULL;
}

static void xsk_unmap(XskRing *ring)
{
    if (ring->map) {
        munmap(ring->map, ring->size);
    }
}

void xsk_close(Xsk *self)
{
    if (!self) {
        return;
    }
    xsk_unmap(&self->sent);
    xsk_unmap(&self->done);
    if (self->fd >= 0) {
        closer_close(self->fd);
    }
    if (self->area != MAP_FAILED) {
        munmap(self->area,
               XSK_AREA); /* the kernel has a reference of its own */
    }
    g_free(self);
}

static struct xdp_desc *xsk_slot(const Xsk *self, uint32_t position)
{
    return (struct xdp_desc *)self->sent.slots + position % XSK_SLOTS;
}

/* One system call; returns its error, or 0, and adds the completions to
 * *@completed. */
static int xsk_kick(Xsk *self, unsigned *completed)
{
    uint32_t before = *self->done.consumer, now;
    int error =
        sendto(self->fd, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 ? errno : 0;

    now = __atomic_load_n(self->done.producer, __ATOMIC_ACQUIRE);
    __atomic_store_n(self->done.consumer, now, __ATOMIC_RELEASE);
    *completed += now - before;
    return error;
}

/* Takes the last @n frames back, by making their descriptors invalid: the
 * kernel skips these, some kernels only one per call. */
static void xsk_withdraw(Xsk *self, unsigned n)
{
    uint32_t end = *self->sent.producer;
    unsigned completed = 0;

    for (uint32_t position = end - n; position != end; position++) {
        xsk_slot(self, position)->addr = XSK_NOWHERE;
    }
    while (n-- > 0) {
        xsk_kick(self, &completed);
    }
}

static unsigned xsk_send_batch(Xsk *self, const Packet *packets, unsigned n,
                               int *error)
{
    uint32_t first = *self->sent.producer;
    unsigned completed = 0;

    for (unsigned i = 0; i < n; i++) {
        uint64_t place = (uint64_t)i * XSK_FRAME_MAX;

        memcpy(self->area + place, packets[i].data, packets[i].len);
        *xsk_slot(self, first + i) =
            (struct xdp_desc){.addr = place, .len = packets[i].len};
    }
    __atomic_store_n(self->sent.producer, first + n, __ATOMIC_RELEASE);
    *error = xsk_kick(self, &completed);
    if (*error == 0) {
        *error = completed == n ? 0 : EOPNOTSUPP;
        return n;
    }
    xsk_withdraw(self, n - completed);
    return *error == EBUSY && completed > 0 ? completed - 1 : completed;
}

unsigned xsk_send(Xsk *self, const Packet *packets, unsigned n, int *error)
{
    unsigned done = 0;

    *error = 0;
    while (done < n && *error == 0) {
        done += xsk_send_batch(self, packets + done, MIN(n - done, XSK_BATCH),
                               error);
    }
    return done;
}
