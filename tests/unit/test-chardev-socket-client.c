/* SPDX-License-Identifier: BSD-2-Clause */
/* A client: its server is there, is not, and comes again. */
#include "socket-fixture.h"

#include <unistd.h>

#include <glib/gstdio.h>

static void test_client_refused(void)
{
    g_autoptr(GError) error = NULL;
    json_auto_t *props = json_pack("{s:s}", "path", socket_path);
    g_autofree char *text = g_strdup_printf(
        "Failed to connect to '%s': No such file or directory", socket_path);

    g_assert_null(object_new(OBJECT_KIND_CHARDEV, "socket", "c", props,
                             PROP_SYNTAX_TEXT, &error));
    g_assert_cmpstr(error->message, ==, text);
}

static int listen_here(void)
{
    g_autoptr(GError) error = NULL;
    Address address = {.type = ADDRESS_UNIX, .path = socket_path};
    int fd = address_listen(&address, &error);

    g_assert_no_error(error);
    return fd;
}

static void stop_listening(int fd)
{
    Address address = {.type = ADDRESS_UNIX, .path = socket_path};

    address_listen_close(&address, fd);
}

static int accept_one(int listener)
{
    int fd = -1;

    LOOP_UNTIL((fd = address_accept(listener)) >= 0);
    return fd;
}

static void test_client_once(void)
{
    Frontend front = {.on_readable = ACT_READ};
    int listener = listen_here();
    int peer;

    socket_make("");
    front_claim(&front, &front_handlers);
    g_assert_cmpuint(front.opened, ==, 1);
    peer = accept_one(listener);
    close(peer);
    LOOP_UNTIL(front.closed == 1);
    /* Without reconnect that is the end. */
    socket_settle();
    g_assert_cmpint(address_accept(listener), ==, -1);
    stop_listening(listener);
    front_finish(&front);
}

/* Not there, there, gone and there again. The outage is one line of log. */
static void test_client_reconnects(void)
{
    g_autofree char *log = g_build_filename(socket_dir, "log", NULL);
    g_autofree char *lines = NULL;
    g_auto(GStrv) said = NULL;
    Frontend front = {.on_readable = ACT_READ};
    int listener, peer;

    g_assert_true(log_open(log, NULL));
    socket_make(",\"reconnect-ms\":\"3\"");
    front_claim(&front, &front_handlers);
    chardev_want_read(front.chardev, true);
    socket_settle();
    ((ChardevSocket *)front.chardev)->failure_limit.next_us = 0;
    socket_settle();
    g_assert_cmpuint(front.opened, ==, 0);
    g_assert_cmpuint(((ChardevSocket *)front.chardev)->connector.attempts, >,
                     2);
    g_assert_true(g_file_get_contents(log, &lines, NULL, NULL));
    said = g_strsplit(lines,
                      "Unable to connect character device c: Failed to "
                      "connect to '",
                      -1);
    g_assert_cmpuint(g_strv_length(said), ==, 2);
    listener = listen_here();
    for (unsigned i = 1; i <= 3; i++) {
        peer = accept_one(listener);
        peer_send(peer, "x");
        LOOP_UNTIL(front.data->len == i);
        g_assert_cmpuint(front.opened, ==, i);
        close(peer);
        LOOP_UNTIL(front.closed == i);
    }
    /* Thrown out by us: likewise. */
    peer = accept_one(listener);
    LOOP_UNTIL(front.opened == 4);
    chardev_disconnect(front.chardev);
    close(peer);
    peer = accept_one(listener);
    close(peer);
    stop_listening(listener);
    g_unlink(log);
    front_finish(&front);
}

/* TCP, where a refusal comes later than the attempt. */
static void test_client_reconnects_tcp(void)
{
    g_autoptr(GError) error = NULL;
    Address any = {
        .type = ADDRESS_INET, .host = (char *)"127.0.0.1", .port = (char *)"0"};
    g_auto(Address) address = {0};
    int listener = address_listen(&any, &error);
    json_auto_t *props = NULL;
    ChardevSocket *socket;
    int peer;

    g_assert_true(address_of_socket(listener, false, &address));
    close(listener);
    props = json_pack("{s:s,s:s,s:s}", "host", address.host, "port",
                      address.port, "reconnect-ms", "3");
    socket = (ChardevSocket *)object_new(OBJECT_KIND_CHARDEV, "socket", "c",
                                         props, PROP_SYNTAX_TEXT, &error);
    g_assert_no_error(error);
    LOOP_UNTIL(socket->connector.attempts > 3);
    g_assert_false(socket->chardev.connected);
    listener = address_listen(&address, &error);
    g_assert_no_error(error);
    peer = accept_one(listener);
    LOOP_UNTIL(socket->chardev.connected);
    close(peer);
    close(listener);
    LOOP_UNTIL(!socket->chardev.connected);
    g_assert_true(object_del(&socket->chardev.object, NULL));
}

static void add_tests(void)
{
    g_test_add_func("/chardev-socket/client/refused", test_client_refused);
    g_test_add_func("/chardev-socket/client/once", test_client_once);
    g_test_add_func("/chardev-socket/client/reconnects",
                    test_client_reconnects);
    g_test_add_func("/chardev-socket/client/reconnects-tcp",
                    test_client_reconnects_tcp);
}

int main(int argc, char **argv)
{
    return socket_fixture_main(argc, argv, add_tests);
}
