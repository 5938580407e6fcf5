/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest that takes frames out of its TAP at a rate:
 *
 *   bench-tap-reader IFNAME RATE COUNT
 *
 * Prints "ready", and when COUNT frames have come, or none for long after
 * the first, JSON: how many, and when the first and the last one did
 * (CLOCK_MONOTONIC, ns). One read a frame, as a VMM does it.
 */
#include "frame.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <linux/if_tun.h>
#include <net/if.h>

#define SILENCE_MS 20000
#define PAUSE_NS 20000

static int reader_open(const char *ifname)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

    strncpy(request.ifr_name, ifname, IFNAMSIZ - 1);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0) {
        frame_die(ifname);
    }
    return fd;
}

/* Waits until there is a frame; false if there will be none. */
static bool reader_wait(int fd, bool begun)
{
    struct pollfd waited = {.fd = fd, .events = POLLIN};

    return poll(&waited, 1, begun ? SILENCE_MS : -1) > 0;
}

int main(int argc, char **argv)
{
    static uint8_t frame[FRAME_MAX];
    double rate = argc > 2 ? strtod(argv[2], NULL) : 0;
    uint64_t count = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
    uint64_t n = 0, first = 0, last = 0;
    int fd;

    if (rate <= 0 || count == 0) {
        fputs("usage: bench-tap-reader IFNAME RATE COUNT\n", stderr);
        return 1;
    }
    fd = reader_open(argv[1]);
    prctl(PR_SET_TIMERSLACK, 1);
    puts("ready");
    fflush(stdout);
    while (n < count && reader_wait(fd, n > 0)) {
        while (n < count && read(fd, frame, sizeof(frame)) > 0) {
            last = frame_now();
            first = n++ ? first : last;
            while ((double)(frame_now() - first) * 1e-9 * rate < (double)n) {
                nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
            }
        }
    }
    printf("{\"frames\": %" PRIu64 ", \"first_ns\": %" PRIu64
           ", \"last_ns\": %" PRIu64 "}\n",
           n, first, last);
    return 0;
}
