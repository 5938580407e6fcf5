/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/address.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib/gstdio.h>

static char *tmp_dir;

static char *tmp_path(const char *name)
{
    return g_build_filename(tmp_dir, name, NULL);
}

static void assert_error(GError **error, const char *text)
{
    g_assert_error(*error, TF_ERROR, TF_ERROR_GENERIC);
    g_assert_cmpstr((*error)->message, ==, text);
    g_clear_error(error);
}

static bool is_nonblocking(int fd)
{
    return fcntl(fd, F_GETFL) & O_NONBLOCK && fcntl(fd, F_GETFD) & FD_CLOEXEC;
}

static void wait_for(int fd, short events)
{
    struct pollfd pollfd = {.fd = fd, .events = events};

    g_assert_cmpint(poll(&pollfd, 1, 5000), ==, 1);
}

static void test_family(void)
{
    static const struct {
        AddressIp ip;
        int family; /* -1: an error */
    } rows[] = {
        {{0}, AF_UNSPEC},
        {{.v4_given = true, .v4 = true}, AF_INET},
        {{.v4_given = true}, AF_INET6},
        {{.v6_given = true, .v6 = true}, AF_INET6},
        {{.v6_given = true}, AF_INET},
        {{.v4_given = true, .v4 = true, .v6_given = true}, AF_INET},
        {{.v4_given = true, .v6_given = true, .v6 = true}, AF_INET6},
        {{.v4_given = true, .v4 = true, .v6_given = true, .v6 = true},
         AF_UNSPEC},
        {{.v4_given = true, .v6_given = true}, -1},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        int family = -1;

        g_assert_cmpint(address_family(&rows[i].ip, &family, &error), ==,
                        rows[i].family >= 0);
        g_assert_cmpint(family, ==, rows[i].family);
        if (rows[i].family < 0) {
            assert_error(&error, "Cannot disable IPv4 and IPv6 at same time");
        }
    }
}

static void test_parse(void)
{
    static const struct {
        const char *text, *host, *port, *path, *again;
    } rows[] = {
        {"tcp:127.0.0.1:4444", "127.0.0.1", "4444"},
        {"tcp::4444", "", "4444"},
        {"tcp:[::1]:4444", "::1", "4444"},
        {"tcp:[]:4444", "", "4444", NULL, "tcp::4444"},
        {"tcp:host.example:http", "host.example", "http"},
        {"unix:/run/x", NULL, NULL, "/run/x"},
        {"unix:relative:with,odd", NULL, NULL, "relative:with,odd"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_auto(Address) address = {0};
        g_autofree char *text = NULL;

        g_assert_true(address_parse(rows[i].text, &address, &error));
        g_assert_no_error(error);
        g_assert_cmpint(address.type, ==,
                        rows[i].path ? ADDRESS_UNIX : ADDRESS_INET);
        g_assert_cmpstr(address.host, ==, rows[i].host);
        g_assert_cmpstr(address.port, ==, rows[i].port);
        g_assert_cmpstr(address.path, ==, rows[i].path);
        text = address_to_string(&address);
        g_assert_cmpstr(text, ==, rows[i].again ? rows[i].again : rows[i].text);
    }
}

static void test_parse_errors(void)
{
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"", "address '' is neither 'unix:PATH' nor 'tcp:HOST:PORT'"},
        {"127.0.0.1:1",
         "address '127.0.0.1:1' is neither 'unix:PATH' nor 'tcp:HOST:PORT'"},
        {"unix:", "address 'unix:' lacks a path"},
        {"tcp:", "address 'tcp:' lacks a port"},
        {"tcp:host", "address 'tcp:host' lacks a port"},
        {"tcp:host:", "address 'tcp:host:' lacks a port"},
        {"tcp:::1:5", "address 'tcp:::1:5': put the IPv6 address in brackets"},
        {"tcp:[::1:5",
         "address 'tcp:[::1:5': put the IPv6 address in brackets"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_auto(Address) address = {0};

        g_assert_false(address_parse(rows[i].text, &address, &error));
        assert_error(&error, rows[i].error);
    }
}

static void test_to_string(void)
{
    Address abstract = {
        .type = ADDRESS_UNIX, .path = (char *)"name", .abstract = true};
    Address padded = abstract;
    Address inherited = {.type = ADDRESS_FD, .fd = 7};
    g_autofree char *abstract_text = address_to_string(&abstract);
    g_autofree char *padded_text = NULL;
    g_autofree char *inherited_text = address_to_string(&inherited);

    padded.padded = true;
    padded_text = address_to_string(&padded);
    g_assert_cmpstr(abstract_text, ==, "unix:name,abstract=on,tight=on");
    g_assert_cmpstr(padded_text, ==, "unix:name,abstract=on");
    g_assert_cmpstr(inherited_text, ==, "fd:7");
}

/* Listens at @address, connects both ways, and checks all that comes out. */
static void check_round_trip(const Address *address)
{
    g_autoptr(GError) error = NULL;
    g_auto(Address) bound = {0};
    int listener = address_listen(address, &error);
    int client, server;
    char byte = 0;

    g_assert_no_error(error);
    g_assert_true(is_nonblocking(listener));
    g_assert_cmpint(address_accept(listener), ==, -1);
    g_assert_cmpint(errno, ==, EAGAIN);
    g_assert_true(address_of_socket(listener, false, &bound));
    for (int round = 0; round < 2; round++) {
        client = round ? address_connect_sync(&bound, &error)
                       : address_connect(&bound, &error);
        g_assert_no_error(error);
        g_assert_true(is_nonblocking(client));
        wait_for(client, POLLOUT);
        g_assert_true(address_connect_done(&bound, client, &error));
        wait_for(listener, POLLIN);
        server = address_accept(listener);
        g_assert_true(is_nonblocking(server));
        g_assert_cmpint(write(client, "x", 1), ==, 1);
        wait_for(server, POLLIN);
        g_assert_cmpint(read(server, &byte, 1), ==, 1);
        g_assert_cmpint(byte, ==, 'x');
        close(client);
        close(server);
    }
    address_listen_close(&bound, listener);
    client = address_connect_sync(&bound, &error);
    g_assert_cmpint(client, ==, -1);
    g_assert_nonnull(error);
}

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
    check_round_trip(&address);
}

static void test_unix(void)
{
    g_autofree char *path = tmp_path("round");
    Address address = {.type = ADDRESS_UNIX, .path = path};

    check_round_trip(&address);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
}

static void test_abstract(void)
{
    g_autofree char *name = g_strdup_printf("tapferry-test-%d", getpid());
    Address address = {.type = ADDRESS_UNIX, .path = name, .abstract = true};

    check_round_trip(&address);
    address.padded = true;
    check_round_trip(&address);
}

/* The file of a server that died is removed, that of one that lives is not,
 * and the living server hears nothing of it. */
static void test_unix_stale(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = tmp_path("stale");
    g_autofree char *text = NULL;
    Address address = {.type = ADDRESS_UNIX, .path = path};
    int first = address_listen(&address, &error);
    int second;

    g_assert_no_error(error);
    g_assert_cmpint(address_listen(&address, &error), ==, -1);
    text = g_strdup_printf(
        "Failed to bind socket to %s: Address already in use", path);
    assert_error(&error, text);
    g_assert_cmpint(address_accept(first), ==, -1);
    close(first);
    g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
    second = address_listen(&address, &error);
    g_assert_no_error(error);
    /* What somebody else has put there in the meantime stays. */
    g_assert_cmpint(unlink(path), ==, 0);
    first = address_listen(&address, &error);
    g_assert_no_error(error);
    address_listen_close(&address, second);
    g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
    address_listen_close(&address, first);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
}

/* A file that is no socket is nobody's to remove. */
static void test_unix_file(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = tmp_path("file");
    Address address = {.type = ADDRESS_UNIX, .path = path};

    g_assert_true(g_file_set_contents(path, "precious", -1, NULL));
    g_assert_cmpint(address_listen(&address, &error), ==, -1);
    g_assert_nonnull(error);
    g_assert_true(g_file_test(path, G_FILE_TEST_IS_REGULAR));
    g_assert_cmpint(unlink(path), ==, 0);
}

static void test_unix_errors(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_strnfill(108, 'x');
    g_autofree char *text =
        g_strdup_printf("UNIX socket path '%s' is too long", path);
    Address address = {.type = ADDRESS_UNIX, .path = path};

    g_assert_cmpint(address_listen(&address, &error), ==, -1);
    assert_error(&error, text);
    g_assert_cmpint(address_connect(&address, &error), ==, -1);
    assert_error(&error, text);
    address.path = (char *)"";
    g_assert_cmpint(address_listen(&address, &error), ==, -1);
    assert_error(&error, "UNIX socket path is empty");
    address.path = (char *)"/nonexistent/x";
    g_assert_cmpint(address_listen(&address, &error), ==, -1);
    assert_error(&error, "Failed to bind socket to /nonexistent/x: No such "
                         "file or directory");
    g_assert_cmpint(address_connect(&address, &error), ==, -1);
    assert_error(&error, "Failed to connect to '/nonexistent/x': No such file "
                         "or directory");
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

    g_assert_cmpint(address_connect_sync(&address, &error), ==, -1);
    assert_error(&error, text);
    fd = address_connect(&address, &error);
    g_assert_no_error(error);
    wait_for(fd, POLLOUT);
    g_assert_false(address_connect_done(&address, fd, &error));
    assert_error(&error, text);
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
    fd = address_connect_sync(&bound, &error);
    g_assert_no_error(error);
    close(fd);
    for (unsigned turn = 0; turn < 2; turn++) {
        fd = address_connect_turn(&bound, turn, &error);
        g_assert_no_error(error);
        wait_for(fd, POLLOUT);
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
    assert_error(&error, "port '65536' is above 65535");
    address.port = (char *)"no-such-service";
    g_assert_cmpint(address_listen(&address, &error), ==, -1);
    g_assert_true(g_str_has_prefix(
        error->message,
        "address resolution failed for 127.0.0.1:no-such-service: "));
    g_clear_error(&error);
    address.port = (char *)"0";
    address.host = (char *)"192.0.2.1"; /* TEST-NET-1: nobody's */
    g_assert_cmpint(address_listen(&address, &error), ==, -1);
    assert_error(&error,
                 "Failed to bind socket: Cannot assign requested address");
    address.host = (char *)"127.0.0.1";
    listener = address_listen(&address, &error);
    g_assert_no_error(error);
    g_assert_true(address_of_socket(listener, false, &bound));
    g_assert_cmpint(address_listen(&bound, &error), ==, -1);
    assert_error(&error,
                 "Failed to find an available port: Address already in use");
    close(listener);
}

static void assert_fd_error(int fd, bool listens, const char *format)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text =
        g_strdup_printf("File descriptor '%d' %s", fd, format);
    Address address = {.type = ADDRESS_FD, .fd = fd};

    g_assert_cmpint(listens ? address_listen(&address, &error)
                            : address_connect(&address, &error),
                    ==, -1);
    assert_error(&error, text);
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
    g_assert_cmpint(address_connect(&address, &error), ==, pair[0]);
    g_assert_true(is_nonblocking(pair[0]));
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

static void test_options(void)
{
    g_autoptr(GError) error = NULL;
    g_auto(Address) bound = {0};
    Address address = {
        .type = ADDRESS_INET, .host = (char *)"127.0.0.1", .port = (char *)"0"};
    int listener = address_listen(&address, &error);
    int fds[2];

    g_assert_true(address_of_socket(listener, false, &bound));
    fds[0] = address_connect_sync(&bound, &error);
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
    int status;

    g_test_init(&argc, &argv, NULL);
    tmp_dir = g_dir_make_tmp("tapferry-XXXXXX", NULL);
    g_test_add_func("/address/family", test_family);
    g_test_add_func("/address/parse", test_parse);
    g_test_add_func("/address/parse-errors", test_parse_errors);
    g_test_add_func("/address/to-string", test_to_string);
    g_test_add_data_func("/address/inet/v4", "127.0.0.1", test_inet);
    g_test_add_data_func("/address/inet/v6", "::1", test_inet);
    g_test_add_data_func("/address/inet/any", "", test_inet);
    g_test_add_func("/address/inet/refused", test_refused);
    g_test_add_func("/address/inet/self", test_self_connection);
    g_test_add_func("/address/inet/several", test_several_addresses);
    g_test_add_func("/address/inet/errors", test_inet_errors);
    g_test_add_func("/address/inet/options", test_options);
    g_test_add_func("/address/unix/path", test_unix);
    g_test_add_func("/address/unix/abstract", test_abstract);
    g_test_add_func("/address/unix/stale", test_unix_stale);
    g_test_add_func("/address/unix/file", test_unix_file);
    g_test_add_func("/address/unix/errors", test_unix_errors);
    g_test_add_func("/address/fd/connected", test_fd);
    g_test_add_func("/address/fd/listening", test_fd_listening);
    g_test_add_func("/address/of-socket", test_of_socket);
    status = g_test_run();
    g_rmdir(tmp_dir);
    g_free(tmp_dir);
    return status;
}
