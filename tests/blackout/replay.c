/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Plain capture and replay, for comparison: what is captured on one interface
 * from the start of this program on is sent into another one as it comes,
 * with no account of what the guest got. That is what a redirector between
 * two packet sockets does by itself.
 *
 * blackout-replay CAPTURE-FD INJECT-FD: packet sockets, bound, with
 * PACKET_VNET_HDR; what a bound socket holds already is captured, too.
 */
#include <err.h>
#include <linux/if_packet.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
    static uint8_t frame[1 << 17];

    if (argc != 3) {
        errx(2, "see the head of replay.c");
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (true) {
        struct sockaddr_ll from;
        socklen_t from_len = sizeof(from);
        ssize_t n = recvfrom(atoi(argv[1]), frame, sizeof(frame), 0,
                             (struct sockaddr *)&from, &from_len);

        if (n < 0) {
            err(1, "capture");
        }
        if (from.sll_pkttype == PACKET_OUTGOING) {
            send(atoi(argv[2]), frame, (size_t)n, 0);
        }
    }
}
