/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A scripted network: sends prepared frames, each at its time, to the TAP of
 * the one host, of the other, of both or of none, as it is steered, and notes
 * which went where.
 *
 * blackout-network CONTROL-FD FRAMES LOG SOURCE-FD DESTINATION-FD
 *
 * FRAMES: records of struct Prepared with the frame behind it, virtio-net
 * header included, padded to 8 bytes. LOG: one struct Sent for each. The last
 * two are packet sockets, bound and with PACKET_VNET_HDR; they send as any
 * other program does, through the queueing discipline, so that a full TAP
 * loses frames in silence.
 *
 * Requests are datagrams of text, answered with "ok NEXT":
 *
 *   start            the clock of the due times begins
 *   steer CLASS MASK frames of a class go to: 1 source, 2 destination, 3 both
 *   until N          end before frame N
 *   status
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CLASSES 4
#define HOSTS 2
#define PRIORITY -9
#define LATE_MAX_NS 5000000
#define VNET_HDR_LEN 10

typedef struct Prepared {
    uint64_t due_ns;
    uint32_t class;
    uint32_t len;
} Prepared;

typedef struct Sent {
    uint64_t time_ns;
    uint8_t mask;   /* where it went; 0: nowhere */
    uint8_t failed; /* where the kernel refused it */
    uint8_t done;
    uint8_t unused[5];
} Sent;

typedef struct Network {
    int control;
    int sockets[HOSTS];
    const uint8_t *at, *end; /* of what is prepared */
    Sent *log;
    uint64_t next, until;
    unsigned masks[CLASSES];
    bool started;
    uint64_t start_ns; /* put off when we are late, rather than burst */
} Network;

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void *map(const char *path, int flags, size_t *size)
{
    int fd = open(path, flags | O_CLOEXEC);
    struct stat stat;
    void *at;

    if (fd < 0 || fstat(fd, &stat) < 0) {
        err(1, "%s", path);
    }
    *size = (size_t)stat.st_size;
    at = mmap(NULL, *size, PROT_READ | (flags == O_RDWR ? PROT_WRITE : 0),
              MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) {
        err(1, "%s", path);
    }
    close(fd);
    return at;
}

static void network_send(Network *self, const Prepared *frame)
{
    Sent *sent = &self->log[self->next++];
    unsigned mask = self->masks[frame->class];

    sent->time_ns = now_ns();
    for (unsigned i = 0; i < HOSTS; i++) {
        if ((mask & 1u << i) &&
            send(self->sockets[i], frame + 1, frame->len, 0) < 0) {
            sent->failed |= (uint8_t)(1u << i);
        }
    }
    sent->mask = (uint8_t)mask;
    sent->done = 1;
}

/* Sends what is due; returns how long nothing will be, in ns. */
static uint64_t network_run(Network *self)
{
    uint64_t now = now_ns();

    while (self->started && self->at < self->end && self->next < self->until) {
        const Prepared *frame = (const Prepared *)self->at;
        uint64_t due = self->start_ns + frame->due_ns;

        if (due > now) {
            return due - now;
        }
        if (now - due > LATE_MAX_NS) {
            self->start_ns += now - due;
        }
        network_send(self, frame);
        self->at += sizeof(*frame) + ((frame->len + 7) & ~7u);
        now = now_ns();
    }
    return 1000000000;
}

static void network_control(Network *self)
{
    char request[256], reply[32], name[16] = "";
    unsigned a = 0, b = 0;
    ssize_t n = recv(self->control, request, sizeof(request) - 1, 0);

    if (n <= 0) {
        exit(0);
    }
    request[n] = '\0';
    sscanf(request, "%15s %u %u", name, &a, &b);
    if (!strcmp(name, "start")) {
        self->started = true;
        self->start_ns = now_ns();
    } else if (!strcmp(name, "steer") && a < CLASSES) {
        self->masks[a] = b;
    } else if (!strcmp(name, "until")) {
        self->until = a;
    } else if (strcmp(name, "status")) {
        errx(1, "no request '%s'", request);
    }
    n = snprintf(reply, sizeof(reply), "ok %llu",
                 (unsigned long long)self->next);
    if (send(self->control, reply, (size_t)n, MSG_NOSIGNAL) < 0) {
        exit(0);
    }
}

int main(int argc, char **argv)
{
    Network network = {.until = UINT64_MAX};
    size_t size, log_size;

    if (argc != 6) {
        errx(2, "see the head of network.c");
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_TIMERSLACK, 1000);
    setpriority(PRIO_PROCESS, 0, PRIORITY);
    network.control = atoi(argv[1]);
    network.at = map(argv[2], O_RDONLY, &size);
    network.end = network.at + size;
    network.log = map(argv[3], O_RDWR, &log_size);
    network.sockets[0] = atoi(argv[4]);
    network.sockets[1] = atoi(argv[5]);
    while (true) {
        uint64_t wait = network_run(&network);
        struct timespec timeout = {(time_t)(wait / 1000000000),
                                   (long)(wait % 1000000000)};
        struct pollfd control = {network.control, POLLIN, 0};

        if (ppoll(&control, 1, &timeout, NULL) > 0) {
            network_control(&network);
        }
    }
}
