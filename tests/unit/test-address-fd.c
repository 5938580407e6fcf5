/* SPDX-License-Identifier: BSD-2-Clause */
/* Inherited descriptors, and what a descriptor's address is. */
#include "address-fixture.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static void assert_fd_error(int fd, bool listens, const char *format)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text =
        g_strdup_printf("File descriptor '%d' %s", fd, format);
    Address address = {.type = ADDRESS_FD, .fd = fd};

    g_assert_cmpint(listens ? address_listen(&address, &error)
                            : address_connect(&address, NULL, 0, &error),
                    ==, -1);
    address_assert_error(&error, text);
}

static void test_fd(void)
{
    g_autoptr(GError) error = NULL;
    Address address = {.type = ADDRESS_FD};
    int pair[2];
    int file = open("/dev/null", O_RDONLY);
    int datagram = socket(AF_UNIX, SOCK_DGRAM, 0);

    assert_fd_error(file, false, "is not a socket");
    assert_fd_error(987654, false, "is not a socket");
    assert_fd_error(datagram, true, "is not a stream socket");
    close(file);
    close(datagram);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ==, 0);
    address.fd = pair[0];
    g_assert_cmpint(address_connect(&address, NULL, 0, &error), ==, pair[0]);
    g_assert_true(address_is_nonblocking(pair[0]));
    /* One that is taken can't be taken again. */
    assert_fd_error(pair[0], false, "is in use");
    close(pair[0]);
    close(pair[1]);
}

static void test_fd_listening(void)
{
    g_autoptr(GError) error = NULL;
    g_auto(Address) bound = {0};
    struct sockaddr_in name = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    Address address = {.type = ADDRESS_FD};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    g_assert_cmpint(bind(fd, (struct sockaddr *)&name, sizeof(name)), ==, 0);
    g_assert_cmpint(listen(fd, 1), ==, 0);
    assert_fd_error(fd, false, "is a listening socket");
    address.fd = fd;
    g_assert_cmpint(address_listen(&address, &error), ==, fd);
    g_assert_true(address_of_socket(fd, false, &bound));
    g_assert_cmpint(bound.type, ==, ADDRESS_INET);
    g_assert_cmpstr(bound.host, ==, "127.0.0.1");
    address_listen_close(&address, fd);
}

static void test_of_socket(void)
{
    g_auto(Address) local = {0};
    g_auto(Address) peer = {0};
    int pair[2];
    int file = open("/dev/null", O_RDONLY);

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ==, 0);
    g_assert_true(address_of_socket(pair[0], true, &local));
    g_assert_cmpint(local.type, ==, ADDRESS_UNIX);
    g_assert_false(local.abstract);
    g_assert_cmpstr(local.path, ==, "");
    g_assert_false(address_of_socket(file, false, &peer));
    g_assert_cmpint(peer.type, ==, ADDRESS_FD);
    close(pair[0]);
    close(pair[1]);
    close(file);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/address/fd/connected", test_fd);
    g_test_add_func("/address/fd/listening", test_fd_listening);
    g_test_add_func("/address/of-socket", test_of_socket);
    return g_test_run();
}
