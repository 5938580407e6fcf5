/* SPDX-License-Identifier: BSD-2-Clause */
#include "address-fixture.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

void address_assert_error(GError **error, const char *text)
{
    g_assert_error(*error, TF_ERROR, TF_ERROR_GENERIC);
    g_assert_cmpstr((*error)->message, ==, text);
    g_clear_error(error);
}

bool address_is_nonblocking(int fd)
{
    return fcntl(fd, F_GETFL) & O_NONBLOCK && fcntl(fd, F_GETFD) & FD_CLOEXEC;
}

void address_wait_for(int fd, short events)
{
    struct pollfd pollfd = {.fd = fd, .events = events};

    g_assert_cmpint(poll(&pollfd, 1, 5000), ==, 1);
}

void address_check_round_trip(const Address *address)
{
    g_autoptr(GError) error = NULL;
    g_auto(Address) bound = {0};
    int listener = address_listen(address, &error);
    int client, server;
    char byte = 0;

    g_assert_no_error(error);
    g_assert_true(address_is_nonblocking(listener));
    g_assert_cmpint(address_accept(listener), ==, -1);
    g_assert_cmpint(errno, ==, EAGAIN);
    g_assert_true(address_of_socket(listener, false, &bound));
    for (int round = 0; round < 2; round++) {
        client = round ? address_connect_sync(&bound, 10000, &error)
                       : address_connect(&bound, NULL, 0, &error);
        g_assert_no_error(error);
        g_assert_true(address_is_nonblocking(client));
        address_wait_for(client, POLLOUT);
        g_assert_true(address_connect_done(&bound, client, &error));
        address_wait_for(listener, POLLIN);
        server = address_accept(listener);
        g_assert_true(address_is_nonblocking(server));
        g_assert_cmpint(write(client, "x", 1), ==, 1);
        address_wait_for(server, POLLIN);
        g_assert_cmpint(read(server, &byte, 1), ==, 1);
        g_assert_cmpint(byte, ==, 'x');
        close(client);
        close(server);
    }
    address_listen_close(&bound, listener);
    client = address_connect_sync(&bound, 10000, &error);
    g_assert_cmpint(client, ==, -1);
    g_assert_nonnull(error);
}
