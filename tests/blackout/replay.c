/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Plain capture and replay, for comparison: what is captured on one interface
 * waits in its socket until this program is told to go on, and is then sent
 * into another one, and from then on as it comes; with no account of what the
 * guest got. That is what two redirectors between packet sockets do.
 *
 * blackout-replay CAPTURE-FD INJECT-FD CONTROL-FD: packet sockets, bound, with
 * PACKET_VNET_HDR; what a bound socket holds already is captured, too. A byte
 * on the control descriptor says that the machine runs.
 */
#include <err.h>
#include <linux/if_packet.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* The comparison would not be fair if the capture itself lost something. */
static void check_losses(int fd)
{
    struct tpacket_stats stats;
    socklen_t len = sizeof(stats);

    if (getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len) < 0) {
        err(1, "capture");
    }
    if (stats.tp_drops > 0) {
        errx(1, "the capture lost %u frames", stats.tp_drops);
    }
}

int main(int argc, char **argv)
{
    static uint8_t frame[1 << 17];
    int capture, inject, control;
    uint8_t word;

    if (argc != 4) {
        errx(2, "see the head of replay.c");
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    capture = atoi(argv[1]);
    inject = atoi(argv[2]);
    control = atoi(argv[3]);
    if (read(control, &word, 1) != 1) {
        return 0; /* the machine never ran there */
    }
    check_losses(capture);
    while (true) {
        struct sockaddr_ll from;
        socklen_t from_len = sizeof(from);
        ssize_t n = recvfrom(capture, frame, sizeof(frame), 0,
                             (struct sockaddr *)&from, &from_len);

        if (n < 0) {
            err(1, "capture");
        }
        if (from.sll_pkttype == PACKET_OUTGOING) {
            send(inject, frame, (size_t)n, 0);
        }
    }
}
