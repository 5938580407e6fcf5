/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reference, injecting side, and a reader that only counts.
 *
 *   bench-relay-sink ADDRESS IFNAME BATCH [vnet]
 *   bench-relay-sink ADDRESS - BATCH [vnet]
 *
 * Takes one connection, parses what it reads, up to 256 KiB at once, and
 * injects up to BATCH frames a sendmmsg. Without an interface it counts. Ends
 * with the stream or on SIGTERM, and prints JSON: frames received, injected,
 * refused by the kernel. While it runs its first shared page, in the file
 * that BENCH_COUNT names, has the number received.
 */
#include "frame.h"
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_packet.h>

typedef struct Sink {
    int fd; /* packet socket; -1: just count */
    unsigned batch, n;
    struct mmsghdr messages[BATCH];
    struct iovec pieces[BATCH];
    uint64_t *received; /* shared */
    uint64_t injected, refused;
} Sink;

static void sink_signal(int number)
{
    (void)number; /* it interrupts read() */
}

static uint64_t *sink_counter(void)
{
    static uint64_t alone;
    const char *path = getenv("BENCH_COUNT");
    int fd;
    void *page;

    if (!path) {
        return &alone;
    }
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(uint64_t)) < 0) {
        frame_die(path);
    }
    page =
        mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) {
        frame_die(path);
    }
    close(fd);
    return page;
}

/* Injects what has gathered. */
static void sink_flush(Sink *self)
{
    unsigned done = 0;

    while (self->fd >= 0 && done < self->n) {
        int n = sendmmsg(self->fd, self->messages + done, self->n - done, 0);

        if (n > 0) {
            self->injected += (unsigned)n;
            done += (unsigned)n;
        } else if (errno == ENOBUFS) {
            self->refused++;
            done++;
        } else if (errno != EINTR) {
            frame_die("sendmmsg");
        }
    }
    *(volatile uint64_t *)self->received += self->n;
    self->n = 0;
}

static void sink_run(Sink *self, Stream *stream)
{
    while (stream_fill(stream)) {
        struct iovec *piece = &self->pieces[0];

        while ((piece->iov_base = stream_next(stream, &piece->iov_len))) {
            self->n++;
            if (self->n == self->batch) {
                sink_flush(self);
            }
            piece = &self->pieces[self->n];
        }
        sink_flush(self);
    }
}

int main(int argc, char **argv)
{
    static Sink sink = {.fd = -1};
    static Stream stream;
    struct sigaction action = {.sa_handler = sink_signal};
    bool vnet = argc > 4 && strcmp(argv[4], "vnet") == 0;
    int on = 1;

    sink.batch = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;
    if (sink.batch < 1 || sink.batch > BATCH) {
        fputs("usage: bench-relay-sink ADDRESS IFNAME|- BATCH [vnet]\n",
              stderr);
        return 1;
    }
    sigaction(SIGTERM, &action, NULL);
    if (strcmp(argv[2], "-") != 0) {
        sink.fd = frame_socket(argv[2], 0, vnet);
        setsockopt(sink.fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on));
    }
    for (unsigned i = 0; i < BATCH; i++) {
        sink.messages[i].msg_hdr.msg_iov = &sink.pieces[i];
        sink.messages[i].msg_hdr.msg_iovlen = 1;
    }
    sink.received = sink_counter();
    stream_init(&stream, stream_accept(argv[1]), vnet);
    sink_run(&sink, &stream);
    printf("{\"received\": %" PRIu64 ", \"injected\": %" PRIu64
           ", \"refused\": %" PRIu64 "}\n",
           *sink.received, sink.injected, sink.refused);
    return 0;
}
