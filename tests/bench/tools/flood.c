/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sends frames into an interface, as fast as it takes them or at a rate:
 *
 *   bench-flood IFNAME SIZE SECONDS [RATE [COUNT [retry]]]
 *
 * Without a RATE (0) it sends 64 frames a sendmmsg, or trains of plain ones,
 * which the kernel cuts into frames for half of what they cost one by one: so
 * the flood is not what there is least of. With one (frames/s), what is due
 * each half millisecond. COUNT ends it as well, and none are trains. retry:
 * past the queueing discipline, so that a full TAP refuses the frame, and again
 * until it takes it. Ends on SIGTERM, too, and prints JSON: frames that the
 * kernel took, those that it refused, seconds.
 */
#include "frame.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

#include <linux/if_packet.h>

#define TICK_NS 500000
#define RETRY_NS 20000

static volatile sig_atomic_t ended;

static void flood_end(int number)
{
    (void)number;
    ended = 1;
}

typedef struct Flood {
    int fd;
    struct mmsghdr messages[BATCH];
    uint64_t sent, refused;
    unsigned train; /* frames of each message */
    bool retry;
} Flood;

/* Sends @n <= BATCH frames. */
static void flood_send(Flood *self, unsigned n)
{
    unsigned done = 0;

    while (done < n) {
        int sent = sendmmsg(self->fd, self->messages + done, n - done, 0);

        if (sent > 0) {
            self->sent += (unsigned)sent;
            done += (unsigned)sent;
        } else if (errno == ENOBUFS && self->retry) {
            nanosleep(&(struct timespec){.tv_nsec = RETRY_NS}, NULL);
        } else if (errno == ENOBUFS) {
            self->refused++;
            done++;
        } else if (errno != EINTR) {
            frame_die("sendmmsg");
        }
    }
}

/* Sends what is due at @rate, then sleeps until the next is. */
static void flood_pace(Flood *self, double rate, uint64_t begin)
{
    uint64_t total = self->sent + self->refused;
    uint64_t due = (uint64_t)((double)(frame_now() - begin) * 1e-9 * rate);

    while (total < due) {
        unsigned n = (unsigned)(due - total < BATCH ? due - total : BATCH);

        flood_send(self, n);
        total += n;
    }
    nanosleep(&(struct timespec){.tv_nsec = TICK_NS}, NULL);
}

static void flood_run(Flood *self, double seconds, double rate, uint64_t count)
{
    uint64_t begin = frame_now();
    uint64_t end = begin + (uint64_t)(seconds * 1e9);

    while (!ended && self->sent < count && frame_now() < end) {
        if (rate > 0) {
            flood_pace(self, rate, begin);
        } else {
            uint64_t left = count - self->sent;

            flood_send(self, self->train > 1 ? 1
                             : left < BATCH  ? (unsigned)left
                                             : BATCH);
        }
    }
    printf("{\"sent\": %" PRIu64 ", \"refused\": %" PRIu64
           ", \"seconds\": %.6f}\n",
           self->sent * self->train, self->refused * self->train,
           (double)(frame_now() - begin) * 1e-9);
}

int main(int argc, char **argv)
{
    static uint8_t frame[FRAME_MAX];
    static Flood flood;
    struct virtio_net_hdr vnet;
    struct sigaction action = {.sa_handler = flood_end};
    size_t size = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    bool offloaded = size > TSO_FROM, trains = !offloaded && argc == 4;
    int on = 1;
    struct iovec pieces[] = {{&vnet, sizeof(vnet)}, {frame, size}};

    if (argc < 4 || !frame_make(frame, size, &vnet)) {
        fputs("usage: bench-flood IFNAME SIZE SECONDS [RATE [COUNT "
              "[retry]]]\n",
              stderr);
        return 1;
    }
    sigaction(SIGTERM, &action, NULL);
    if (argc == 4) {
        frame_set_offloads(argv[1], offloaded);
    }
    flood.train =
        trains ? frame_make_train(frame, size, &vnet, &pieces[1].iov_len) : 1;
    flood.fd = frame_socket(argv[1], 0, offloaded || trains);
    flood.retry = argc > 6 && strcmp(argv[6], "retry") == 0;
    if (flood.retry) {
        setsockopt(flood.fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on));
        prctl(PR_SET_TIMERSLACK, 1);
    }
    for (unsigned i = 0; i < BATCH; i++) {
        bool header = offloaded || trains;

        flood.messages[i].msg_hdr.msg_iov = header ? pieces : pieces + 1;
        flood.messages[i].msg_hdr.msg_iovlen = header ? 2 : 1;
    }
    flood_run(&flood, strtod(argv[3], NULL),
              argc > 4 ? strtod(argv[4], NULL) : 0,
              argc > 5 ? strtoull(argv[5], NULL, 10) : UINT64_MAX);
    return 0;
}
