// SPDX-License-Identifier: BSD-2-Clause
//
// udpecho [PORT]: send every UDP datagram back to where it came from.
// Runs inside the test guest, linked statically.

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { DEFAULT_PORT = 7, BUFFER_BYTES = 8 << 20, DATAGRAM_MAX = 65536 };

int main(int argc, char **argv)
{
    static char datagram[DATAGRAM_MAX];
    int port = argc > 1 ? atoi(argv[1]) : DEFAULT_PORT;
    int bytes = BUFFER_BYTES;
    struct sockaddr_in self = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
    };
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    if (fd < 0) {
        perror("udpecho: socket");
        return 1;
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
    if (bind(fd, (struct sockaddr *)&self, sizeof(self)) < 0) {
        perror("udpecho: bind");
        return 1;
    }
    for (;;) {
        struct sockaddr_in peer;
        socklen_t peer_len = sizeof(peer);
        ssize_t len = recvfrom(fd, datagram, sizeof(datagram), 0,
                               (struct sockaddr *)&peer, &peer_len);

        if (len >= 0) {
            sendto(fd, datagram, len, 0, (struct sockaddr *)&peer, peer_len);
        }
    }
}
