/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a connection ends: peers that leave and break, whatever is under way
 * then, and handlers that pull the chardev from under themselves.
 */
#include "socket-fixture.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Whatever way the peer leaves, what it had sent is read first. */
static void test_data_before_close(gconstpointer data)
{
    int how = GPOINTER_TO_INT(data);
    Frontend front = front_with_server();
    GString *sent = g_string_new(NULL);
    int peer = peer_connect();

    front_claim(&front, &front_handlers);
    LOOP_UNTIL(front.opened == 1);
    for (int i = 0; i < 5000; i++) {
        g_string_append_printf(sent, "%d,", i);
    }
    peer_send(peer, sent->str);
    if (how == SHUT_WR) {
        shutdown(peer, SHUT_WR);
    } else {
        close(peer);
    }
    socket_settle();
    g_assert_cmpuint(front.closed, ==, 0);
    g_assert_true(front.chardev->connected);
    /* In steps, as back-pressure makes them. */
    while (front.data->len < sent->len) {
        gsize had = front.data->len;

        chardev_want_read(front.chardev, true);
        LOOP_UNTIL(front.data->len > had);
        chardev_want_read(front.chardev, false);
        loop_iterate(false);
    }
    g_assert_cmpstr(front.data->str, ==, sent->str);
    LOOP_UNTIL(front.closed == 1);
    if (how == SHUT_WR) {
        g_assert_true(peer_sees_end(peer));
        close(peer);
    }
    g_string_free(sent, TRUE);
    front_finish(&front);
}

/* Data that waits for a frontend to come. */
static void test_data_before_claim(void)
{
    Frontend front = front_with_server();
    Chardev *chardev = (Chardev *)object_find(OBJECT_KIND_CHARDEV, "c");
    int peer = peer_connect();

    LOOP_UNTIL(chardev->connected);
    peer_send(peer, "early");
    close(peer);
    socket_settle();
    g_assert_true(chardev->connected);
    front_claim(&front, &front_handlers);
    g_assert_cmpuint(front.opened, ==, 1);
    socket_settle();
    chardev_want_read(front.chardev, true);
    LOOP_UNTIL(front.closed == 1);
    g_assert_cmpstr(front.data->str, ==, "early");
    front_finish(&front);
}

/* Likewise, and the one that comes will never read it. */
static void test_data_before_deaf_claim(void)
{
    Frontend front = front_with_server();
    Chardev *chardev = (Chardev *)object_find(OBJECT_KIND_CHARDEV, "c");
    int peer = peer_connect();

    LOOP_UNTIL(chardev->connected);
    peer_send(peer, "early");
    close(peer);
    socket_settle();
    front_claim(&front, &front_deaf_handlers);
    LOOP_UNTIL(front.closed == 1);
    front_finish(&front);
}

/* The peer's end is noticed though nobody reads. */
static void test_nobody_reads(gconstpointer data)
{
    bool says = GPOINTER_TO_INT(data);
    Frontend front = front_with_server();
    Chardev *chardev = (Chardev *)object_find(OBJECT_KIND_CHARDEV, "c");
    int peer = peer_connect();

    /* without a frontend */
    LOOP_UNTIL(chardev->connected);
    close(peer);
    LOOP_UNTIL(!chardev->connected);
    /* with one that is not reading now */
    front_claim(&front, &front_handlers);
    peer = peer_connect();
    LOOP_UNTIL(front.opened == 1);
    close(peer);
    LOOP_UNTIL(front.closed == 1);
    chardev_release(front.chardev);
    /* with one that never reads, where what the peer said does not count */
    front_claim(&front, &front_deaf_handlers);
    peer = peer_connect();
    LOOP_UNTIL(front.opened == 2);
    if (says) {
        peer_send(peer, "nobody hears this");
    }
    shutdown(peer, SHUT_WR);
    LOOP_UNTIL(front.closed == 2);
    close(peer);
    front_finish(&front);
}

/* A peer that listens no more is gone as soon as there is something to say to
 * it, and what it has said itself is read. */
static void test_deaf(gconstpointer data)
{
    bool says = GPOINTER_TO_INT(data);
    Frontend front = front_with_server();
    int peer = peer_connect();

    front_claim(&front, &front_handlers);
    LOOP_UNTIL(front.opened == 1);
    shutdown(peer, SHUT_RD);
    if (says) {
        peer_send(peer, "words");
    }
    socket_settle();
    g_assert_cmpuint(front.closed, ==, 0);
    g_assert_cmpint(
        chardev_writev(front.chardev, &(struct iovec){(char *)"x", 1}, 1), ==,
        -EPIPE);
    chardev_want_read(front.chardev, true);
    chardev_want_write(front.chardev, true);
    LOOP_UNTIL(front.closed == 1);
    g_assert_cmpuint(front.writable, ==, 0);
    g_assert_cmpstr(front.data->str, ==, says ? "words" : "");
    close(peer);
    front_finish(&front);
}

/* A peer that has said all (printf … | nc -N) still gets the answers of a
 * frontend that reads no further before they are written. */
static void test_half_closed(gconstpointer data)
{
    bool more = GPOINTER_TO_INT(data);
    Frontend front = front_with_server();
    g_autofree char *answer = g_strnfill(1000000, 'a');
    int peer = peer_connect();

    front_claim(&front, &front_handlers);
    LOOP_UNTIL(front.opened == 1);
    front.output = answer;
    front.output_len = strlen(answer);
    chardev_want_write(front.chardev, true);
    if (more) {
        peer_send(peer, "more");
    }
    shutdown(peer, SHUT_WR);
    socket_settle();
    g_assert_cmpuint(front.closed, ==, 0);
    peer_expect(peer, answer, strlen(answer));
    chardev_want_read(front.chardev, true);
    LOOP_UNTIL(front.closed == 1);
    g_assert_cmpstr(front.data->str, ==, more ? "more" : "");
    close(peer);
    front_finish(&front);
}

/* Both directions gone, input unread, output unwritten: it is over. */
static void test_broken_while_writing(void)
{
    Frontend front = front_with_server();
    g_autofree char *answer = g_strnfill(1000000, 'a');
    int peer = peer_connect();

    front_claim(&front, &front_handlers);
    LOOP_UNTIL(front.opened == 1);
    front.output = answer;
    front.output_len = strlen(answer);
    chardev_want_write(front.chardev, true);
    socket_settle();
    g_assert_cmpuint(front.output_len, >, 0);
    peer_send(peer, "unread");
    close(peer);
    LOOP_UNTIL(front.closed == 1);
    front_finish(&front);
}

/* A write to a peer that has gone is an error, not a signal. */
static void test_write_to_gone(void)
{
    Frontend front = front_with_server();
    struct iovec iov = {(char *)"x", 1};
    int peer = peer_connect();

    front_claim(&front, &front_handlers);
    LOOP_UNTIL(front.opened == 1);
    close(peer);
    g_assert_cmpint(chardev_writev(front.chardev, &iov, 1), ==, -EPIPE);
    g_assert_cmpuint(front.closed, ==, 0);
    LOOP_UNTIL(front.closed == 1);
    front_finish(&front);
}

/* A read outside of readable() that meets the end. */
static void test_read_unasked(void)
{
    Frontend front = front_with_server();
    int peer = peer_connect();

    front_claim(&front, &front_handlers);
    LOOP_UNTIL(front.opened == 1);
    peer_send(peer, "abc");
    close(peer);
    socket_settle();
    front_act(&front, ACT_READ);
    g_assert_cmpstr(front.data->str, ==, "abc");
    g_assert_cmpuint(front.closed, ==, 0);
    LOOP_UNTIL(front.closed == 1);
    front_finish(&front);
}

static void test_disconnect(void)
{
    Frontend front = front_with_server();
    int peer = peer_connect();

    front_claim(&front, &front_handlers);
    front.on_readable = ACT_DISCONNECT;
    chardev_want_read(front.chardev, true);
    LOOP_UNTIL(front.opened == 1);
    peer_send(peer, "garbage");
    LOOP_UNTIL(front.closed == 1);
    g_assert_cmpuint(front.readable, ==, 1);
    g_assert_true(peer_sees_end(peer));
    close(peer);
    chardev_disconnect(front.chardev); /* harmless without a peer */
    g_assert_cmpuint(front.closed, ==, 1);
    /* It listens on, and what the frontend wants has not changed. */
    front.on_readable = ACT_READ;
    peer = peer_connect();
    peer_send(peer, "fine");
    LOOP_UNTIL(front.data->len == 4);
    /* From within opened() and writable(), too. */
    front.on_opened = ACT_DISCONNECT;
    close(peer);
    peer = peer_connect();
    LOOP_UNTIL(front.closed == 3);
    close(peer);
    front.on_opened = ACT_NONE;
    front.on_writable = ACT_DISCONNECT;
    chardev_want_write(front.chardev, true);
    peer = peer_connect();
    LOOP_UNTIL(front.closed == 4);
    close(peer);
    front_finish(&front);
}

static void test_delete_in_handler(gconstpointer data)
{
    int which = GPOINTER_TO_INT(data);
    Frontend front = front_with_server();
    int peer;

    front_claim(&front, &front_handlers);
    front.on_opened = which == 0 ? ACT_DELETE : ACT_NONE;
    front.on_readable = which == 1 ? ACT_DELETE : ACT_READ;
    front.on_writable = which == 2 ? ACT_DELETE : ACT_NONE;
    front.on_closed = which >= 3 ? ACT_DELETE : ACT_NONE;
    chardev_want_read(front.chardev, true);
    chardev_want_write(front.chardev, which == 2);
    peer = peer_connect();
    peer_send(peer, "x");
    if (which == 3) {
        close(peer);
        peer = -1;
    }
    LOOP_UNTIL(which == 4 ? front.data->len == 1 : !front.chardev);
    if (which == 4) {
        chardev_disconnect(front.chardev);
        g_assert_null(front.chardev);
    }
    socket_settle();
    if (peer >= 0) {
        g_assert_true(peer_sees_end(peer));
        close(peer);
    }
    front_finish(&front);
}

static void test_destroy_connected(void)
{
    Frontend front = front_with_server();
    int peer = peer_connect();

    front_claim(&front, &front_handlers);
    chardev_want_read(front.chardev, true);
    LOOP_UNTIL(front.opened == 1);
    object_destroy_all();
    front.chardev = NULL;
    g_assert_true(peer_sees_end(peer));
    g_assert_cmpuint(front.closed, ==, 0);
    socket_settle();
    close(peer);
    front_finish(&front);
}

static void add_tests(void)
{
    static const char *const handlers[] = {"opened", "readable", "writable",
                                           "closed", "disconnect"};

    for (int i = 0; i < (int)G_N_ELEMENTS(handlers); i++) {
        g_autofree char *name =
            g_strconcat("/chardev-socket/delete-in/", handlers[i], NULL);

        g_test_add_data_func(name, GINT_TO_POINTER(i), test_delete_in_handler);
    }
    g_test_add_data_func("/chardev-socket/data-before-close/half",
                         GINT_TO_POINTER(SHUT_WR), test_data_before_close);
    g_test_add_data_func("/chardev-socket/data-before-close/full",
                         GINT_TO_POINTER(SHUT_RDWR), test_data_before_close);
    g_test_add_data_func("/chardev-socket/nobody-reads/silent",
                         GINT_TO_POINTER(false), test_nobody_reads);
    g_test_add_data_func("/chardev-socket/nobody-reads/talking",
                         GINT_TO_POINTER(true), test_nobody_reads);
    g_test_add_data_func("/chardev-socket/deaf/silent", GINT_TO_POINTER(false),
                         test_deaf);
    g_test_add_data_func("/chardev-socket/deaf/talking", GINT_TO_POINTER(true),
                         test_deaf);
    g_test_add_data_func("/chardev-socket/half-closed/silent",
                         GINT_TO_POINTER(false), test_half_closed);
    g_test_add_data_func("/chardev-socket/half-closed/talking",
                         GINT_TO_POINTER(true), test_half_closed);
    g_test_add_func("/chardev-socket/data-before-claim",
                    test_data_before_claim);
    g_test_add_func("/chardev-socket/data-before-deaf-claim",
                    test_data_before_deaf_claim);
    g_test_add_func("/chardev-socket/broken-while-writing",
                    test_broken_while_writing);
    g_test_add_func("/chardev-socket/write-to-gone", test_write_to_gone);
    g_test_add_func("/chardev-socket/read-unasked", test_read_unasked);
    g_test_add_func("/chardev-socket/disconnect", test_disconnect);
    g_test_add_func("/chardev-socket/destroy-connected",
                    test_destroy_connected);
}

int main(int argc, char **argv)
{
    return socket_fixture_main(argc, argv, add_tests);
}
