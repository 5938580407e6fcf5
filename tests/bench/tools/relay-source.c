/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reference, capturing side: the least that a program has to do.
 *
 *   bench-relay-source IFNAME ADDRESS BATCH [vnet]
 *
 * recvmmsg of up to BATCH frames that go out at the interface, a header in
 * front of each, one writev. BATCH 1 is a read and a write a frame, as QEMU's
 * filter-mirror writes. Ends on SIGTERM, when its socket is empty, and prints
 * JSON: frames captured, and lost by its socket.
 */
#include "frame.h"
#include "stream.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>

#define RECEIVE_BUFFER (4 * 1024 * 1024)
#define PLAIN_SLOT 2112
#define LARGE_SLOT (FRAME_MAX + 192)
/* So that a batch of large frames stays in the cache. */
#define LARGE_BATCH 4
#define LOOK_US 100000

static volatile sig_atomic_t ended;

static void source_end(int number)
{
    (void)number;
    ended = 1;
}

static int source_open(const char *ifname, bool vnet)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                 (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};
    struct timeval look = {.tv_usec = LOOK_US};
    int bytes = RECEIVE_BUFFER;
    int fd = frame_socket(ifname, ETH_P_ALL, vnet);

    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program,
                   sizeof(program)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &look, sizeof(look)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0) {
        frame_die("setsockopt");
    }
    return fd;
}

/* Writes all of @pieces, which it spoils. */
static void source_write(int fd, struct iovec *pieces, int n)
{
    while (n > 0) {
        ssize_t done = writev(fd, pieces, n);

        if (done < 0 && errno != EINTR) {
            frame_die("writev");
        }
        while (n > 0 && done >= (ssize_t)pieces->iov_len) {
            done -= (ssize_t)pieces->iov_len;
            pieces++;
            n--;
        }
        if (n > 0 && done > 0) {
            pieces->iov_base = (uint8_t *)pieces->iov_base + done;
            pieces->iov_len -= (size_t)done;
        }
    }
}

/* Puts the framing in front of a frame that was received at @at. */
static void source_frame(uint8_t *at, unsigned len, bool vnet,
                         struct iovec *piece)
{
    size_t header = vnet ? STREAM_HEADER_MAX : sizeof(uint32_t);
    uint32_t words[] = {htonl(len), htonl(sizeof(struct virtio_net_hdr))};

    memcpy(at - header, words, header);
    *piece = (struct iovec){at - header, header + len};
}

static uint64_t source_run(int fd, int stream, int batch, bool vnet)
{
    static struct mmsghdr messages[BATCH];
    static struct iovec rooms[BATCH], pieces[BATCH];
    size_t slot = vnet ? LARGE_SLOT : PLAIN_SLOT;
    uint8_t *buffer = malloc(slot * (size_t)batch);
    uint64_t captured = 0;
    int n = 0;

    for (int i = 0; i < batch; i++) {
        uint8_t *at = buffer + slot * (size_t)i + STREAM_HEADER_MAX;

        rooms[i] = (struct iovec){at, slot - STREAM_HEADER_MAX};
        messages[i].msg_hdr.msg_iov = &rooms[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    while (!ended || n > 0) {
        n = recvmmsg(fd, messages, (unsigned)batch, MSG_WAITFORONE, NULL);
        for (int i = 0; i < n; i++) {
            source_frame(rooms[i].iov_base, messages[i].msg_len, vnet,
                         &pieces[i]);
        }
        if (n > 0) {
            source_write(stream, pieces, n);
            captured += (uint64_t)n;
        }
    }
    free(buffer);
    return captured;
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = source_end};
    struct tpacket_stats stats;
    socklen_t size = sizeof(stats);
    bool vnet = argc > 4 && strcmp(argv[4], "vnet") == 0;
    int batch = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 0;
    int fd, stream;
    uint64_t captured;

    if (batch < 1 || batch > BATCH) {
        fputs("usage: bench-relay-source IFNAME ADDRESS BATCH [vnet]\n",
              stderr);
        return 1;
    }
    if (vnet && batch > LARGE_BATCH) {
        batch = LARGE_BATCH;
    }
    sigaction(SIGTERM, &action, NULL);
    stream = stream_connect(argv[2]);
    fd = source_open(argv[1], vnet);
    puts("ready");
    fflush(stdout);
    captured = source_run(fd, stream, batch, vnet);
    getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size);
    printf("{\"captured\": %" PRIu64 ", \"dropped\": %u}\n", captured,
           stats.tp_drops);
    return 0;
}
