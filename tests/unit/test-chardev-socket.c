/* SPDX-License-Identifier: BSD-2-Clause */
/* A server and its peers: they come one after the other, and what is said
 * either way arrives, in full and in order. */
#include "socket-fixture.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static void test_talk(void)
{
    Frontend front = front_with_server();
    int first, second;

    front_claim(&front, &front_handlers);
    chardev_want_read(front.chardev, true);
    g_assert_cmpint(chardev_read(front.chardev, (char[1]){0}, 1), ==,
                    -ENOTCONN);
    g_assert_cmpint(chardev_writev(front.chardev, NULL, 0), ==, -ENOTCONN);
    first = peer_connect();
    LOOP_UNTIL(front.opened == 1);
    peer_send(first, "hello");
    LOOP_UNTIL(front.data->len == 5);
    front.output = "world";
    front.output_len = 5;
    chardev_want_write(front.chardev, true);
    peer_expect(first, "world", 5);
    /* The next one waits until this one is gone; what it has said by then is
     * not lost. */
    second = peer_connect();
    peer_send(second, "again");
    socket_settle();
    g_assert_cmpuint(front.opened, ==, 1);
    g_assert_cmpstr(front.data->str, ==, "hello");
    close(first);
    LOOP_UNTIL(front.opened == 2 && front.data->len == 10);
    g_assert_cmpuint(front.closed, ==, 1);
    g_assert_cmpstr(front.data->str, ==, "helloagain");
    close(second);
    LOOP_UNTIL(front.closed == 2);
    front_finish(&front);
}

static void test_opened_at_claim(void)
{
    Chardev *chardev = socket_make_server();
    Frontend front = {0};
    int peer = peer_connect();

    LOOP_UNTIL(chardev->connected);
    front_claim(&front, &front_handlers);
    g_assert_cmpuint(front.opened, ==, 1);
    close(peer);
    LOOP_UNTIL(front.closed == 1);
    front_finish(&front);
}

/* A frontend goes, with its wishes; the next one gets the rest. */
static void test_change_of_frontend(void)
{
    Frontend front = front_with_server();
    Frontend next = {.on_readable = ACT_READ};
    int peer = peer_connect();

    front_claim(&front, &front_handlers);
    chardev_want_read(front.chardev, true);
    peer_send(peer, "one");
    LOOP_UNTIL(front.data->len == 3);
    chardev_release(front.chardev);
    front.chardev = NULL;
    peer_send(peer, "two");
    socket_settle();
    front_claim(&next, &front_handlers);
    g_assert_cmpuint(next.opened, ==, 1);
    socket_settle();
    g_assert_cmpuint(next.readable, ==, 0);
    chardev_want_read(next.chardev, true);
    LOOP_UNTIL(next.data->len == 3);
    g_assert_cmpstr(next.data->str, ==, "two");
    g_assert_cmpuint(front.closed, ==, 0);
    close(peer);
    g_string_free(front.data, TRUE);
    front_finish(&next);
}

static void test_much(void)
{
    Frontend front = front_with_server();
    size_t n = 5 * 1024 * 1024;
    g_autofree char *bytes = g_malloc(n);
    int peer = peer_connect();

    for (size_t i = 0; i < n; i++) {
        bytes[i] = (char)(i * 7 + i / 251);
    }
    front_claim(&front, &front_handlers);
    LOOP_UNTIL(front.opened == 1);
    front.output = bytes;
    front.output_len = n;
    chardev_want_write(front.chardev, true);
    peer_expect(peer, bytes, n);
    g_assert_false(front.chardev->want_write);
    close(peer);
    front_finish(&front);
}

/* A peer that floods does not keep the frontend from writing. */
static void test_fair(void)
{
    Frontend front = front_with_server();
    g_autofree char *flood = g_strnfill(100000, 'f');
    int peer = peer_connect();

    front_claim(&front, &front_handlers);
    chardev_want_read(front.chardev, true);
    LOOP_UNTIL(front.opened == 1);
    g_assert_cmpint(send(peer, flood, 100000, 0), ==, 100000);
    front.output = "x";
    front.output_len = 1;
    chardev_want_write(front.chardev, true);
    LOOP_UNTIL(front.output_len == 0);
    g_assert_cmpuint(front.data->len, <, 100000);
    close(peer);
    front_finish(&front);
}

static void test_nodelay(void)
{
    static const char *const words[] = {"off", "on"};

    for (int on = 0; on < 2; on++) {
        g_autoptr(GError) error = NULL;
        json_auto_t *props =
            json_pack("{s:s,s:s,s:s,s:s,s:s}", "host", "127.0.0.1", "port", "0",
                      "server", "on", "wait", "off", "nodelay", words[on]);
        ChardevSocket *socket = (ChardevSocket *)object_new(
            OBJECT_KIND_CHARDEV, "socket", "c", props, PROP_SYNTAX_TEXT, NULL);
        g_auto(Address) address = {0};
        int value = -1;
        socklen_t len = sizeof(value);
        int peer;

        g_assert_true(address_of_socket(socket->listen_fd, false, &address));
        peer = address_connect_sync(&address, 10000, &error);
        LOOP_UNTIL(socket->chardev.connected);
        getsockopt(socket->transport->fd, 6 /* TCP */, 1 /* NODELAY */, &value,
                   &len);
        g_assert_cmpint(value, ==, on);
        close(peer);
        g_assert_true(object_del(&socket->chardev.object, NULL));
    }
}

/* Out of descriptors: the peer waits, the loop does not spin, and it goes on
 * when there are some again. */
static void test_no_descriptors(void)
{
    Frontend front = front_with_server();
    ChardevSocket *socket;
    struct rlimit was, none;
    int peer = peer_connect();

    front_claim(&front, &front_handlers);
    socket = (ChardevSocket *)front.chardev;
    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &was), ==, 0);
    none = was;
    /* No number from the lowest free one on. */
    none.rlim_cur = (rlim_t)dup(peer);
    close((int)none.rlim_cur);
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &none), ==, 0);
    LOOP_UNTIL(socket->timer.armed);
    g_assert_cmpint(socket->listen_watch.fd, ==, -1);
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &was), ==, 0);
    LOOP_UNTIL(front.opened == 1);
    close(peer);
    front_finish(&front);
}

static gpointer late_peer(gpointer opaque)
{
    g_usleep(50000);
    return GINT_TO_POINTER(peer_connect());
}

static void test_wait(void)
{
    GThread *thread = g_thread_new("peer", late_peer, NULL);
    gint64 start = g_get_monotonic_time();
    Chardev *chardev = socket_make(",\"server\":\"on\"");
    int peer = GPOINTER_TO_INT(g_thread_join(thread));

    g_assert_cmpint(g_get_monotonic_time() - start, >=, 40000);
    g_assert_true(chardev->connected);
    close(peer);
    g_assert_true(object_del(&chardev->object, NULL));
}

/* Peers that do random things, one after the other, against a frontend that
 * reads now and then: each peer's bytes come in full and in order. */
static void test_random_peers(void)
{
    Frontend front = front_with_server();
    GString *sent = g_string_new(NULL);

    front_claim(&front, &front_handlers);
    for (unsigned round = 1; round <= 300; round++) {
        int peer = peer_connect();
        int n = g_test_rand_int_range(0, 4);

        for (int i = 0; i < n; i++) {
            g_autofree char *text =
                g_strnfill((gsize)g_test_rand_int_range(1, 3000),
                           (char)g_test_rand_int_range('a', 'z'));

            peer_send(peer, text);
            g_string_append(sent, text);
            chardev_want_read(front.chardev, g_test_rand_bit());
            loop_iterate(false);
        }
        if (g_test_rand_bit()) {
            shutdown(peer, SHUT_WR);
            loop_iterate(false);
        }
        close(peer);
        loop_iterate(false);
        chardev_want_read(front.chardev, true);
        LOOP_UNTIL(front.closed == round);
        g_assert_cmpuint(front.data->len, ==, sent->len);
    }
    g_assert_cmpstr(front.data->str, ==, sent->str);
    g_string_free(sent, TRUE);
    front_finish(&front);
}

static void add_tests(void)
{
    g_test_add_func("/chardev-socket/talk", test_talk);
    g_test_add_func("/chardev-socket/opened-at-claim", test_opened_at_claim);
    g_test_add_func("/chardev-socket/change-of-frontend",
                    test_change_of_frontend);
    g_test_add_func("/chardev-socket/much", test_much);
    g_test_add_func("/chardev-socket/fair", test_fair);
    g_test_add_func("/chardev-socket/nodelay", test_nodelay);
    g_test_add_func("/chardev-socket/no-descriptors", test_no_descriptors);
    g_test_add_func("/chardev-socket/wait", test_wait);
    g_test_add_func("/chardev-socket/random-peers", test_random_peers);
}

int main(int argc, char **argv)
{
    return socket_fixture_main(argc, argv, add_tests);
}
