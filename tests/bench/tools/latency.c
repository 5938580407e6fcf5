/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How long a frame takes from one interface to another:
 *
 *   bench-latency IN OUT SIZE RATE SECONDS
 *
 * One thread sends frames into IN when they are due, one system call each, and
 * sleeps in between. Each carries its number and the wall-clock time just
 * before that call. The other reads them at OUT now and then, with the time
 * when the kernel got them, so that its own wakeups are not in the figure.
 * What is in it: the call that sends, the path, and whatever else the
 * processors had to do. Prints JSON, times in us.
 */
#include "frame.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

#include <linux/if_ether.h>
#include <linux/if_packet.h>

#define RECEIVE_BUFFER (64 * 1024 * 1024)
#define LOOK_NS 1000000
#define LINGER_NS 200000000u
#define MAGIC 0x7461706665727279u

typedef struct Mark {
    uint64_t magic, sent_ns;
} Mark;

typedef struct Receiver {
    int fd;
    atomic_bool ended;
    uint32_t *times; /* ns, of those received */
    size_t room, n;
} Receiver;

static uint64_t wall_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t receiver_stamp(struct msghdr *message)
{
    struct cmsghdr *control = CMSG_FIRSTHDR(message);
    struct timespec stamp;

    if (!control || control->cmsg_type != SO_TIMESTAMPNS) {
        return 0;
    }
    memcpy(&stamp, CMSG_DATA(control), sizeof(stamp));
    return (uint64_t)stamp.tv_sec * 1000000000u + (uint64_t)stamp.tv_nsec;
}

/* Takes one frame; false if there is none. */
static bool receiver_take(Receiver *self)
{
    uint8_t head[ETH_HLEN + sizeof(Mark)];
    char control[CMSG_SPACE(sizeof(struct timespec))];
    struct iovec room = {head, sizeof(head)};
    struct msghdr message = {.msg_iov = &room,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    uint64_t stamp;
    Mark mark;

    if (recvmsg(self->fd, &message, MSG_DONTWAIT) < (ssize_t)sizeof(head)) {
        return errno != EAGAIN;
    }
    stamp = receiver_stamp(&message);
    memcpy(&mark, head + ETH_HLEN, sizeof(mark));
    if (mark.magic == MAGIC && stamp > mark.sent_ns && self->n < self->room) {
        uint64_t ns = stamp - mark.sent_ns;

        self->times[self->n++] = ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
    }
    return true;
}

static void *receiver_run(void *opaque)
{
    Receiver *self = opaque;

    while (!self->ended) {
        errno = 0;
        while (receiver_take(self)) {
            errno = 0;
        }
        nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
    }
    return NULL;
}

static uint64_t sender_run(int fd, uint8_t *frame, size_t size, double rate,
                           double seconds)
{
    uint64_t begin = frame_now(), end = begin + (uint64_t)(seconds * 1e9);
    uint64_t sent = 0, now;

    while ((now = frame_now()) < end) {
        uint64_t due = (uint64_t)((double)(now - begin) * 1e-9 * rate);
        uint64_t next;

        for (; sent < due; sent++) {
            Mark mark = {MAGIC, wall_ns()};

            memcpy(frame + ETH_HLEN, &mark, sizeof(mark));
            if (send(fd, frame, size, 0) < 0 && errno != ENOBUFS) {
                frame_die("send");
            }
        }
        next = begin + (uint64_t)((double)(sent + 1) / rate * 1e9);
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME,
                        &(struct timespec){(time_t)(next / 1000000000u),
                                           (long)(next % 1000000000u)},
                        NULL);
    }
    return sent;
}

static int compare_times(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

    return (left > right) - (left < right);
}

/* The time in us that so many of a thousand frames did not exceed. */
static double percentile(const Receiver *self, unsigned thousandths)
{
    size_t at = self->n * thousandths / 1000;

    return self->n ? self->times[at < self->n ? at : self->n - 1] / 1e3 : 0;
}

static void report(Receiver *self, uint64_t sent)
{
    qsort(self->times, self->n, sizeof(self->times[0]), compare_times);
    printf("{\"sent\": %" PRIu64 ", \"received\": %zu, \"p50\": %.1f, "
           "\"p99\": %.1f, \"p99.9\": %.1f, \"max\": %.1f}\n",
           sent, self->n, percentile(self, 500), percentile(self, 990),
           percentile(self, 999), percentile(self, 1000));
}

static void receiver_open(Receiver *self, const char *ifname)
{
    int on = 1, bytes = RECEIVE_BUFFER;

    self->fd = frame_socket(ifname, ETH_P_ALL, false);
    if (setsockopt(self->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) < 0 ||
        setsockopt(self->fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes,
                   sizeof(bytes)) < 0) {
        frame_die("setsockopt");
    }
}

int main(int argc, char **argv)
{
    static uint8_t frame[FRAME_MAX];
    static Receiver receiver;
    struct virtio_net_hdr vnet;
    size_t size = argc > 3 ? strtoul(argv[3], NULL, 10) : 0;
    double rate = argc > 4 ? strtod(argv[4], NULL) : 0;
    double seconds = argc > 5 ? strtod(argv[5], NULL) : 0;
    pthread_t thread;
    uint64_t sent;

    if (rate <= 0 || seconds <= 0 || size > TSO_FROM ||
        !frame_make(frame, size, &vnet)) {
        fputs("usage: bench-latency IN OUT SIZE RATE SECONDS\n", stderr);
        return 1;
    }
    receiver.room = (size_t)(rate * seconds) + BATCH;
    receiver.times = calloc(receiver.room, sizeof(receiver.times[0]));
    receiver_open(&receiver, argv[2]);
    prctl(PR_SET_TIMERSLACK, 1);
    if (!receiver.times ||
        pthread_create(&thread, NULL, receiver_run, &receiver) != 0) {
        frame_die("pthread_create");
    }
    sent =
        sender_run(frame_socket(argv[1], 0, false), frame, size, rate, seconds);
    nanosleep(&(struct timespec){.tv_nsec = LINGER_NS}, NULL);
    receiver.ended = true;
    pthread_join(thread, NULL);
    report(&receiver, sent);
    return 0;
}
