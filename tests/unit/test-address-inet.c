/* SPDX-License-Identifier: BSD-2-Clause */
/* TCP addresses. */
#include "address-fixture.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void test_inet(gconstpointer host)
{
    Address address = {
        .type = ADDRESS_INET, .host = (char *)host, .port = (char *)"0"};
    int fd = strchr(host, ':') ? address_listen(&address, NULL) : -1;

    if (strchr(host, ':') && fd < 0) {
        g_test_skip("this system lacks the address");
        return;
    }
    if (fd >= 0) {
        close(fd);
    }
    address_check_round_trip(&address);
}

/* A port on 127.0.0.1 that refuses, for as long as *@fd is open. */
static char *closed_port(int *fd)
{
    struct sockaddr_in name = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(name);

    *fd = socket(AF_INET, SOCK_STREAM, 0);
    g_assert_cmpint(bind(*fd, (struct sockaddr *)&name, len), ==, 0);
    g_assert_cmpint(getsockname(*fd, (struct sockaddr *)&name, &len), ==, 0);
    return g_strdup_printf("%u", ntohs(name.sin_port));
}

static void test_refused(void)
{
    g_autoptr(GError) error = NULL;
    int blocker;
    g_autofree char *port = closed_port(&blocker);
    Address address = {
        .type = ADDRESS_INET, .host = (char *)"127.0.0.1", .port = port};
    g_autofree char *text = g_strdup_printf(
        "Failed to connect to '127.0.0.1:%s': Connection refused", port);
    int fd;

    g_assert_cmpint(address_connect_sync(&address, 10000, &error), ==, -1);
    address_assert_error(&error, text);
    fd = address_connect(&address, NULL, 0, &error);
    g_assert_no_error(error);
    address_wait_for(fd, POLLOUT);
    g_assert_false(address_connect_done(&address, fd, &error));
    address_assert_error(&error, text);
    close(fd);
    close(blocker);
}

/* A socket that is bound to the port it connects to meets itself. */
static void test_self_connection(void)
{
    g_autoptr(GError) error = NULL;
    struct sockaddr_in name = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(name);
    Address address = {.type = ADDRESS_FD};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    g_assert_cmpint(bind(fd, (struct sockaddr *)&name, len), ==, 0);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&name, &len), ==, 0);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&name, len), ==, 0);
    g_assert_false(address_connect_done(&address, fd, &error));
    g_assert_true(g_str_has_suffix(error->message, ": Connection refused"));
    close(fd);
}

/* "localhost" may stand for ::1 as well, where nobody listens: whoever waits
 * finds the other, whoever counts his turns does so too. */
static void test_several_addresses(void)
{
    g_autoptr(GError) error = NULL;
    Address address = {
        .type = ADDRESS_INET, .host = (char *)"127.0.0.1", .port = (char *)"0"};
    g_auto(Address) bound = {0};
    int listener = address_listen(&address, &error);
    int made = 0;
    int fd;

    g_assert_no_error(error);
    g_assert_true(address_of_socket(listener, false, &bound));
    g_free(bound.host);
    bound.host = g_strdup("localhost");
    fd = address_connect_sync(&bound, 10000, &error);
    g_assert_no_error(error);
    close(fd);
    for (unsigned turn = 0; turn < 2; turn++) {
        fd = address_connect(&bound, NULL, turn, &error);
        g_assert_no_error(error);
        address_wait_for(fd, POLLOUT);
        made += address_connect_done(&bound, fd, NULL);
        close(fd);
    }
    g_assert_cmpint(made, >, 0);
    close(listener);
}

static void test_inet_errors(void)
{
    g_autoptr(GError) error = NULL;
    Address address = {.type = ADDRESS_INET,
                       .host = (char *)"127.0.0.1",
                       .port = (char *)"65536"};
    g_auto(Address) bound = {0};
    int listener;

    g_assert_cmpint(address_listen(&address, &error), ==, -1);
    address_assert_error(&error, "port '65536' is above 65535");
    address.port = (char *)"no-such-service";
    g_assert_cmpint(address_listen(&address, &error), ==, -1);
    g_assert_true(g_str_has_prefix(
        error->message,
        "address resolution failed for 127.0.0.1:no-such-service: "));
    g_clear_error(&error);
    address.port = (char *)"0";
    address.host = (char *)"192.0.2.1"; /* TEST-NET-1: nobody's */
    g_assert_cmpint(address_listen(&address, &error), ==, -1);
    address_assert_error(
        &error, "Failed to bind socket: Cannot assign requested address");
    address.host = (char *)"127.0.0.1";
    listener = address_listen(&address, &error);
    g_assert_no_error(error);
    g_assert_true(address_of_socket(listener, false, &bound));
    g_assert_cmpint(address_listen(&bound, &error), ==, -1);
    address_assert_error(
        &error, "Failed to find an available port: Address already in use");
    close(listener);
}

static void test_options(void)
{
    g_autoptr(GError) error = NULL;
    g_auto(Address) bound = {0};
    Address address = {
        .type = ADDRESS_INET, .host = (char *)"127.0.0.1", .port = (char *)"0"};
    int listener = address_listen(&address, &error);
    int fds[2];

    g_assert_true(address_of_socket(listener, false, &bound));
    fds[0] = address_connect_sync(&bound, 10000, &error);
    fds[1] = address_accept(listener);
    for (int i = 0; i < 2; i++) {
        int value = 0;
        socklen_t len = sizeof(value);

        g_assert_cmpint(
            getsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &value, &len), ==, 0);
        g_assert_cmpint(value, ==, 1);
        g_assert_cmpint(
            getsockopt(fds[i], SOL_SOCKET, SO_KEEPALIVE, &value, &len), ==, 0);
        g_assert_cmpint(value, ==, 1);
        address_set_patience(fds[i], 10);
        g_assert_cmpint(
            getsockopt(fds[i], IPPROTO_TCP, TCP_USER_TIMEOUT, &value, &len), ==,
            0);
        g_assert_cmpint(value, ==, 10000);
        close(fds[i]);
    }
    close(listener);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/address/inet/v4", "127.0.0.1", test_inet);
    g_test_add_data_func("/address/inet/v6", "::1", test_inet);
    g_test_add_data_func("/address/inet/any", "", test_inet);
    g_test_add_func("/address/inet/refused", test_refused);
    g_test_add_func("/address/inet/self", test_self_connection);
    g_test_add_func("/address/inet/several", test_several_addresses);
    g_test_add_func("/address/inet/errors", test_inet_errors);
    g_test_add_func("/address/inet/options", test_options);
    return g_test_run();
}
