/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Injection into a TAP that this process reads. Needs root: each test works in
 * a network namespace of its own.
 */
#include "base/closer.h"
#include "netdev/inject-socket.h"
#include "netdev/xsk.h"
#include "tun-fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_ether.h>

#define MTU 1000

typedef struct Bench {
    int tun; /* reads what went in, behind a virtio-net header */
    LinkState link;
    uint32_t sent, read; /* frames, numbered from 0 */
} Bench;

static void bench_set(unsigned long what, struct ifreq *request)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint(ioctl(fd, what, request), ==, 0);
    close(fd);
}

static void bench_set_up(bool up)
{
    struct ifreq request = {.ifr_name = "tap0",
                            .ifr_flags = (short)(up ? IFF_UP : 0)};

    bench_set(SIOCSIFFLAGS, &request);
}

static uint32_t bench_number(const uint8_t *frame)
{
    uint32_t number;

    memcpy(&number, frame + ETH_HLEN, sizeof(number));
    return number;
}

/* The next frame, or NULL; others than ours are passed over. */
static const uint8_t *bench_read(Bench *self, ssize_t *len)
{
    static uint8_t bytes[65536];

    while ((*len = read(self->tun, bytes, sizeof(bytes))) > 0) {
        const uint8_t *frame = bytes + sizeof(struct virtio_net_hdr);

        *len -= (ssize_t)sizeof(struct virtio_net_hdr);
        if (frame[12] == 0x88 && frame[13] == 0xb5) {
            return frame;
        }
    }
    return NULL;
}

/* All that are there, which are the next ones. */
static void bench_read_all(Bench *self)
{
    const uint8_t *frame;
    ssize_t len;

    while ((frame = bench_read(self, &len))) {
        g_assert_cmpuint(bench_number(frame), ==, self->read++);
    }
}

static bool bench_open(Bench *self, int queue_length, short flags)
{
    struct ifreq request = {.ifr_name = "tap0"};

    if (!enter_namespace()) {
        return false;
    }
    *self = (Bench){.tun = open_queue("tap0", (short)(IFF_VNET_HDR | flags))};
    request.ifr_qlen = queue_length;
    bench_set(SIOCSIFTXQLEN, &request);
    request.ifr_mtu = MTU;
    bench_set(SIOCSIFMTU, &request);
    bench_set_up(true);
    bench_set(SIOCGIFINDEX, &request);
    self->link = (LinkState){.ifindex = request.ifr_ifindex,
                             .kind = LINK_TUN,
                             .mtu = MTU,
                             .multi_queue = flags & IFF_MULTI_QUEUE};
    g_usleep(50000);
    bench_read_all(self); /* what the host says at first */
    return true;
}

static void bench_close(Bench *self)
{
    close(self->tun);
    closer_finish();
}

/* The next @n frames, of many lengths. */
static void bench_fill(Bench *self, Packet *packets, unsigned n)
{
    static uint8_t frames[PACKET_BATCH_MAX][ETH_HLEN + MTU];

    for (unsigned i = 0; i < n; i++) {
        uint32_t number = self->sent + i;

        memcpy(frames[i], "\2\0\0\0\0\1\2\0\0\0\0\2\x88\xb5", ETH_HLEN);
        memcpy(frames[i] + ETH_HLEN, &number, sizeof(number));
        packets[i] = (Packet){
            .data = frames[i],
            .len = ETH_HLEN + 4 + number * 7 % (MTU - 4 + 1),
        };
    }
}

/* AF_XDP sockets of this network namespace. */
static int count_xsk(void)
{
    FILE *file = fopen("/proc/net/protocols", "re");
    char line[256];
    int sockets = -1;

    while (fgets(line, sizeof(line), file) && sockets < 0) {
        sscanf(line, "XDP %*u %d", &sockets);
    }
    fclose(file);
    return sockets;
}

/* A queue that has room for a part of a batch only. */
static void test_full(void)
{
    Packet packets[PACKET_BATCH_MAX];
    unsigned refusals = 0;
    Bench bench;
    Xsk *xsk;

    if (!bench_open(&bench, 20, 0)) {
        return;
    }
    xsk = xsk_open(bench.link.ifindex, 0);
    g_assert_nonnull(xsk);
    g_assert_cmpint(count_xsk(), ==, 1);
    while (bench.sent < 5000) {
        unsigned done, n = 1 + bench.sent % PACKET_BATCH_MAX;
        int error;

        bench_fill(&bench, packets, n);
        done = xsk_send(xsk, packets, n, &error);
        bench.sent += done;
        g_assert_cmpint(error, ==, done < n ? EBUSY : 0);
        refusals += error == EBUSY;
        if (error == EBUSY) {
            /* Nothing of that batch is sent after all. */
            g_assert_cmpuint(xsk_send(xsk, packets + done, 1, &error), ==, 0);
            g_assert_cmpint(error, ==, EBUSY);
            for (unsigned i = 0; i < 1 + refusals % 20; i++) {
                ssize_t len;

                g_assert_cmpuint(bench_number(bench_read(&bench, &len)), ==,
                                 bench.read++);
            }
        }
    }
    bench_read_all(&bench);
    g_assert_cmpuint(bench.read, ==, bench.sent);
    g_assert_cmpuint(refusals, >, 100);
    xsk_close(xsk);
    bench_close(&bench);
}

static void test_one_only(void)
{
    Bench bench;
    Xsk *xsk;

    if (!bench_open(&bench, 20, 0)) {
        return;
    }
    g_assert_null(xsk_open(bench.link.ifindex + 1, 0));
    g_assert_cmpint(errno, ==, ENODEV);
    xsk = xsk_open(bench.link.ifindex, 0);
    g_assert_null(xsk_open(bench.link.ifindex, 0));
    g_assert_cmpint(errno, ==, EBUSY);
    xsk_close(xsk);
    bench_close(&bench);
}

/* Injects so many batches, the last @open frames of each with their checksums
 * left open, while they are read. */
static void inject_flood(Bench *bench, InjectSocket *inject, unsigned batches,
                         unsigned open)
{
    Packet packets[PACKET_BATCH_MAX];
    InjectResult result;
    unsigned done;

    for (unsigned i = 0; i < batches; i++) {
        bench_fill(bench, packets, PACKET_BATCH_MAX);
        for (unsigned k = PACKET_BATCH_MAX - open; k < PACKET_BATCH_MAX; k++) {
            packets[k].vnet =
                (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                        .csum_start = ETH_HLEN + 20,
                                        .csum_offset = 6};
            packets[k].len = 64;
        }
        for (unsigned sent = 0; sent < PACKET_BATCH_MAX; sent += done) {
            result = inject_socket_send(inject, packets + sent,
                                        PACKET_BATCH_MAX - sent, &done);
            bench->sent += done;
            g_assert_cmpint(result, ==,
                            sent + done < PACKET_BATCH_MAX ? INJECT_FULL
                                                           : INJECT_OK);
            if (result == INJECT_FULL) {
                bench_read_all(bench);
            }
        }
    }
    bench_read_all(bench);
    g_assert_cmpuint(bench->read, ==, bench->sent);
    g_assert_cmpuint(inject_socket_counts(inject).accepted, ==, bench->sent);
}

static void test_flood(void)
{
    Packet packet = {0};
    Bench bench;
    InjectSocket *inject;
    uint64_t refused;
    unsigned done;

    if (!bench_open(&bench, 150, 0)) {
        return;
    }
    inject = inject_socket_new();
    g_assert_true(inject_socket_attach(inject, &bench.link, NULL));
    inject_flood(&bench, inject, 50, 1);
    g_assert_cmpint(count_xsk(), ==, 0);
    inject_flood(&bench, inject, 100, 1);
    g_assert_cmpint(count_xsk(), ==, 1);
    refused = inject_socket_counts(inject).refused;
    g_assert_cmpuint(refused, >, 50);

    /* What is too large for the interface is so on either way. */
    bench_fill(&bench, &packet, 1);
    packet.len = ETH_HLEN + MTU + 1;
    g_assert_cmpint(inject_socket_send(inject, &packet, 1, &done), ==,
                    INJECT_OVERSIZE);
    bench_set_up(false);
    packet.len = 64;
    g_assert_cmpint(inject_socket_send(inject, &packet, 1, &done), ==,
                    INJECT_GONE);
    bench_set_up(true);
    g_assert_cmpuint(inject_socket_counts(inject).accepted, ==, bench.sent);
    g_assert_cmpuint(inject_socket_counts(inject).refused, ==, refused);
    inject_flood(&bench, inject, 1, 1);

    /* It goes away with the VMM, whoever has a socket bound to it. */
    close(bench.tun);
    g_assert_cmpint(inject_socket_send(inject, &packet, 1, &done), ==,
                    INJECT_GONE);
    inject_socket_free(inject);
    closer_finish();
}

/* However many frames take the packet socket, it is opened once. */
static void test_opened_once(void)
{
    Bench bench;
    InjectSocket *inject;

    if (!bench_open(&bench, 150, 0)) {
        return;
    }
    inject = inject_socket_new();
    g_assert_true(inject_socket_attach(inject, &bench.link, NULL));
    inject_flood(&bench, inject, 150, 1);
    g_assert_cmpint(count_xsk(), ==, 1);
    inject_flood(&bench, inject, 1000000 / PACKET_BATCH_MAX + 2,
                 PACKET_BATCH_MAX);
    inject_socket_free(inject);
    closer_finish();
    g_assert_cmpint(count_xsk(), ==, 0);
    bench_close(&bench);
}

static void test_several_queues(void)
{
    Bench bench;
    InjectSocket *inject;

    if (!bench_open(&bench, 150, IFF_MULTI_QUEUE)) {
        return;
    }
    inject = inject_socket_new();
    g_assert_true(inject_socket_attach(inject, &bench.link, NULL));
    inject_flood(&bench, inject, 150, 1);
    g_assert_cmpint(count_xsk(), ==, 0);
    inject_socket_free(inject);
    bench_close(&bench);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/inject/xsk/full", test_full);
    g_test_add_func("/inject/xsk/one-only", test_one_only);
    g_test_add_func("/inject/flood", test_flood);
    g_test_add_func("/inject/opened-once", test_opened_once);
    g_test_add_func("/inject/several-queues", test_several_queues);
    return g_test_run();
}
