/* SPDX-License-Identifier: BSD-2-Clause */
/* Peers that come, talk, stall, leave and break, and handlers that pull the
 * chardev from under themselves. */
#include "base/loop.h"
#include "chardev/socket.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib/gstdio.h>

/* What a handler does beside taking notes. */
typedef enum Act { ACT_NONE, ACT_READ, ACT_DISCONNECT, ACT_DELETE } Act;

typedef struct Frontend {
    Chardev *chardev;
    Act on_opened, on_closed, on_readable, on_writable;
    unsigned opened, closed, readable, writable;
    GString *data;
    const char *output; /* what is still to be written */
    size_t output_len;
} Frontend;

static char *tmp_dir;
static char *sock_path;

/* Turns the loop until @condition; fails after ten seconds. */
#define LOOP_UNTIL(condition)                                                  \
    do {                                                                       \
        gint64 loop_end = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;        \
        while (!(condition)) {                                                 \
            g_assert_cmpint(g_get_monotonic_time(), <, loop_end);              \
            loop_iterate(false);                                               \
        }                                                                      \
    } while (0)

static void settled(void *opaque)
{
    *(bool *)opaque = true;
}

/* Long enough for what should not happen to have happened; and nothing may
 * keep the loop busy meanwhile. */
static void settle(void)
{
    bool done = false;
    unsigned rounds = 0;
    LoopTimer timer;

    loop_timer_open(&timer, settled, &done);
    loop_timer_set(&timer, 30000);
    while (!done) {
        loop_iterate(true);
        rounds++;
    }
    g_assert_cmpuint(rounds, <, 100);
}

static void act(Frontend *front, Act what)
{
    Chardev *chardev = front->chardev;
    char buffer[777];
    ssize_t n = 1;

    switch (what) {
    case ACT_NONE:
        break;
    case ACT_READ:
        for (int i = 0; i < 4 && n > 0; i++) {
            n = chardev_read(chardev, buffer, sizeof(buffer));
            if (n > 0) {
                g_string_append_len(front->data, buffer, n);
            }
        }
        break;
    case ACT_DISCONNECT:
        chardev_disconnect(chardev);
        g_assert_false(chardev->connected);
        break;
    case ACT_DELETE:
        front->chardev = NULL;
        chardev_release(chardev);
        g_assert_true(object_del(&chardev->object, NULL));
        break;
    }
}

static void front_opened(void *opaque)
{
    Frontend *front = opaque;

    front->opened++;
    g_assert_cmpuint(front->opened, ==, front->closed + 1);
    act(front, front->on_opened);
}

static void front_closed(void *opaque)
{
    Frontend *front = opaque;

    front->closed++;
    g_assert_cmpuint(front->opened, ==, front->closed);
    act(front, front->on_closed);
}

static void front_readable(void *opaque)
{
    Frontend *front = opaque;

    front->readable++;
    act(front, front->on_readable);
}

static void front_writable(void *opaque)
{
    Frontend *front = opaque;
    struct iovec iov[2];
    ssize_t n;

    front->writable++;
    if (front->on_writable != ACT_NONE) {
        act(front, front->on_writable);
        return;
    }
    iov[0] = (struct iovec){(char *)front->output, front->output_len / 2};
    iov[1] = (struct iovec){(char *)front->output + iov[0].iov_len,
                            front->output_len - iov[0].iov_len};
    n = chardev_writev(front->chardev, iov, 2);
    if (n > 0) {
        front->output += n;
        front->output_len -= (size_t)n;
    }
    if (front->output_len == 0 || (n < 0 && n != -EAGAIN)) {
        chardev_want_write(front->chardev, false);
    }
}

static const ChardevHandlers front_handlers = {
    .opened = front_opened,
    .closed = front_closed,
    .readable = front_readable,
    .writable = front_writable,
};

/* Of one that only writes. */
static const ChardevHandlers deaf_handlers = {
    .opened = front_opened,
    .closed = front_closed,
    .writable = front_writable,
};

static Chardev *make(const char *more)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text =
        g_strdup_printf("{\"path\":\"%s\"%s}", sock_path, more);
    json_auto_t *props = json_loads(text, 0, NULL);
    Object *obj = object_new(OBJECT_KIND_CHARDEV, "socket", "c", props,
                             PROP_SYNTAX_TEXT, &error);

    g_assert_no_error(error);
    return (Chardev *)obj;
}

static Chardev *make_server(void)
{
    return make(",\"server\":\"on\",\"wait\":\"off\"");
}

static void claim(Frontend *front, const ChardevHandlers *handlers)
{
    g_autoptr(GError) error = NULL;

    if (!front->data) {
        front->data = g_string_new(NULL);
    }
    front->chardev = chardev_claim("c", handlers, front, &error);
    g_assert_no_error(error);
}

/* Makes a server and its frontend, which reads. */
static Frontend front_with_server(void)
{
    make_server();
    return (Frontend){.on_readable = ACT_READ};
}

static void finish(Frontend *front)
{
    if (front->data) {
        g_string_free(front->data, TRUE);
    }
    if (front->chardev) {
        act(front, ACT_DELETE);
    }
    g_assert_cmpuint(object_list(OBJECT_KIND_CHARDEV)->len, ==, 0);
    g_assert_false(g_file_test(sock_path, G_FILE_TEST_EXISTS));
}

static int connect_peer(void)
{
    g_autoptr(GError) error = NULL;
    Address address = {.type = ADDRESS_UNIX, .path = sock_path};
    int fd = address_connect_sync(&address, &error);

    g_assert_no_error(error);
    return fd;
}

static void send_all(int fd, const char *text)
{
    size_t n = strlen(text);

    g_assert_cmpint(send(fd, text, n, MSG_NOSIGNAL), ==, (ssize_t)n);
}

/* Reads @n bytes, turning the loop, and compares. */
static void expect(int fd, const char *bytes, size_t n)
{
    g_autofree char *got = g_malloc(n + 1);
    size_t have = 0;

    while (have < n) {
        ssize_t r = recv(fd, got + have, n - have, MSG_DONTWAIT);

        g_assert_true(r > 0 || (r < 0 && errno == EAGAIN));
        have += r > 0 ? (size_t)r : 0;
        loop_iterate(false);
    }
    g_assert_cmpmem(got, have, bytes, n);
}

static bool peer_sees_end(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);

    return n == 0 || (n < 0 && errno == ECONNRESET);
}

static void test_talk(void)
{
    Frontend front = front_with_server();
    int first, second;

    claim(&front, &front_handlers);
    chardev_want_read(front.chardev, true);
    g_assert_cmpint(chardev_read(front.chardev, (char[1]){0}, 1), ==,
                    -ENOTCONN);
    g_assert_cmpint(chardev_writev(front.chardev, NULL, 0), ==, -ENOTCONN);
    first = connect_peer();
    LOOP_UNTIL(front.opened == 1);
    send_all(first, "hello");
    LOOP_UNTIL(front.data->len == 5);
    front.output = "world";
    front.output_len = 5;
    chardev_want_write(front.chardev, true);
    expect(first, "world", 5);
    /* The next one waits until this one is gone; what it has said by then is
     * not lost. */
    second = connect_peer();
    send_all(second, "again");
    settle();
    g_assert_cmpuint(front.opened, ==, 1);
    g_assert_cmpstr(front.data->str, ==, "hello");
    close(first);
    LOOP_UNTIL(front.opened == 2 && front.data->len == 10);
    g_assert_cmpuint(front.closed, ==, 1);
    g_assert_cmpstr(front.data->str, ==, "helloagain");
    close(second);
    LOOP_UNTIL(front.closed == 2);
    finish(&front);
}

static void test_opened_at_claim(void)
{
    Chardev *chardev = make_server();
    Frontend front = {0};
    int peer = connect_peer();

    LOOP_UNTIL(chardev->connected);
    claim(&front, &front_handlers);
    g_assert_cmpuint(front.opened, ==, 1);
    close(peer);
    LOOP_UNTIL(front.closed == 1);
    finish(&front);
}

/* Whatever way the peer leaves, what it had sent is read first. */
static void test_data_before_close(gconstpointer data)
{
    int how = GPOINTER_TO_INT(data);
    Frontend front = front_with_server();
    GString *sent = g_string_new(NULL);
    int peer = connect_peer();

    claim(&front, &front_handlers);
    LOOP_UNTIL(front.opened == 1);
    for (int i = 0; i < 5000; i++) {
        g_string_append_printf(sent, "%d,", i);
    }
    send_all(peer, sent->str);
    if (how == SHUT_WR) {
        shutdown(peer, SHUT_WR);
    } else {
        close(peer);
    }
    settle();
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
    finish(&front);
}

/* Data that waits for a frontend to come. */
static void test_data_before_claim(void)
{
    Frontend front = front_with_server();
    Chardev *chardev = (Chardev *)object_find(OBJECT_KIND_CHARDEV, "c");
    int peer = connect_peer();

    LOOP_UNTIL(chardev->connected);
    send_all(peer, "early");
    close(peer);
    settle();
    g_assert_true(chardev->connected);
    claim(&front, &front_handlers);
    g_assert_cmpuint(front.opened, ==, 1);
    settle();
    chardev_want_read(front.chardev, true);
    LOOP_UNTIL(front.closed == 1);
    g_assert_cmpstr(front.data->str, ==, "early");
    finish(&front);
}

/* Likewise, and the one that comes will never read it. */
static void test_data_before_deaf_claim(void)
{
    Frontend front = front_with_server();
    Chardev *chardev = (Chardev *)object_find(OBJECT_KIND_CHARDEV, "c");
    int peer = connect_peer();

    LOOP_UNTIL(chardev->connected);
    send_all(peer, "early");
    close(peer);
    settle();
    claim(&front, &deaf_handlers);
    LOOP_UNTIL(front.closed == 1);
    finish(&front);
}

/* A frontend goes, with its wishes; the next one gets the rest. */
static void test_change_of_frontend(void)
{
    Frontend front = front_with_server();
    Frontend next = {.on_readable = ACT_READ};
    int peer = connect_peer();

    claim(&front, &front_handlers);
    chardev_want_read(front.chardev, true);
    send_all(peer, "one");
    LOOP_UNTIL(front.data->len == 3);
    chardev_release(front.chardev);
    front.chardev = NULL;
    send_all(peer, "two");
    settle();
    claim(&next, &front_handlers);
    g_assert_cmpuint(next.opened, ==, 1);
    settle();
    g_assert_cmpuint(next.readable, ==, 0);
    chardev_want_read(next.chardev, true);
    LOOP_UNTIL(next.data->len == 3);
    g_assert_cmpstr(next.data->str, ==, "two");
    g_assert_cmpuint(front.closed, ==, 0);
    close(peer);
    g_string_free(front.data, TRUE);
    finish(&next);
}

/* The peer's end is noticed though nobody reads. */
static void test_nobody_reads(gconstpointer data)
{
    bool says = GPOINTER_TO_INT(data);
    Frontend front = front_with_server();
    Chardev *chardev = (Chardev *)object_find(OBJECT_KIND_CHARDEV, "c");
    int peer = connect_peer();

    /* without a frontend */
    LOOP_UNTIL(chardev->connected);
    close(peer);
    LOOP_UNTIL(!chardev->connected);
    /* with one that is not reading now */
    claim(&front, &front_handlers);
    peer = connect_peer();
    LOOP_UNTIL(front.opened == 1);
    close(peer);
    LOOP_UNTIL(front.closed == 1);
    chardev_release(front.chardev);
    /* with one that never reads, where what the peer said does not count */
    claim(&front, &deaf_handlers);
    peer = connect_peer();
    LOOP_UNTIL(front.opened == 2);
    if (says) {
        send_all(peer, "nobody hears this");
    }
    shutdown(peer, SHUT_WR);
    LOOP_UNTIL(front.closed == 2);
    close(peer);
    finish(&front);
}

/* A peer that has said all (printf … | nc -N) still gets the answers of a
 * frontend that reads no further before they are written. */
static void test_half_closed(gconstpointer data)
{
    bool more = GPOINTER_TO_INT(data);
    Frontend front = front_with_server();
    g_autofree char *answer = g_strnfill(1000000, 'a');
    int peer = connect_peer();

    claim(&front, &front_handlers);
    LOOP_UNTIL(front.opened == 1);
    front.output = answer;
    front.output_len = strlen(answer);
    chardev_want_write(front.chardev, true);
    if (more) {
        send_all(peer, "more");
    }
    shutdown(peer, SHUT_WR);
    settle();
    g_assert_cmpuint(front.closed, ==, 0);
    expect(peer, answer, strlen(answer));
    chardev_want_read(front.chardev, true);
    LOOP_UNTIL(front.closed == 1);
    g_assert_cmpstr(front.data->str, ==, more ? "more" : "");
    close(peer);
    finish(&front);
}

/* Both directions gone, input unread, output unwritten: it is over. */
static void test_broken_while_writing(void)
{
    Frontend front = front_with_server();
    g_autofree char *answer = g_strnfill(1000000, 'a');
    int peer = connect_peer();

    claim(&front, &front_handlers);
    LOOP_UNTIL(front.opened == 1);
    front.output = answer;
    front.output_len = strlen(answer);
    chardev_want_write(front.chardev, true);
    settle();
    g_assert_cmpuint(front.output_len, >, 0);
    send_all(peer, "unread");
    close(peer);
    LOOP_UNTIL(front.closed == 1);
    finish(&front);
}

/* A write to a peer that has gone is an error, not a signal. */
static void test_write_to_gone(void)
{
    Frontend front = front_with_server();
    struct iovec iov = {(char *)"x", 1};
    int peer = connect_peer();

    claim(&front, &front_handlers);
    LOOP_UNTIL(front.opened == 1);
    close(peer);
    g_assert_cmpint(chardev_writev(front.chardev, &iov, 1), ==, -EPIPE);
    g_assert_cmpuint(front.closed, ==, 0);
    LOOP_UNTIL(front.closed == 1);
    finish(&front);
}

/* A read outside of readable() that meets the end. */
static void test_read_unasked(void)
{
    Frontend front = front_with_server();
    int peer = connect_peer();

    claim(&front, &front_handlers);
    LOOP_UNTIL(front.opened == 1);
    send_all(peer, "abc");
    close(peer);
    settle();
    act(&front, ACT_READ);
    g_assert_cmpstr(front.data->str, ==, "abc");
    g_assert_cmpuint(front.closed, ==, 0);
    LOOP_UNTIL(front.closed == 1);
    finish(&front);
}

static void test_much(void)
{
    Frontend front = front_with_server();
    size_t n = 5 * 1024 * 1024;
    g_autofree char *bytes = g_malloc(n);
    int peer = connect_peer();

    for (size_t i = 0; i < n; i++) {
        bytes[i] = (char)(i * 7 + i / 251);
    }
    claim(&front, &front_handlers);
    LOOP_UNTIL(front.opened == 1);
    front.output = bytes;
    front.output_len = n;
    chardev_want_write(front.chardev, true);
    expect(peer, bytes, n);
    g_assert_false(front.chardev->want_write);
    close(peer);
    finish(&front);
}

/* A peer that floods does not keep the frontend from writing. */
static void test_fair(void)
{
    Frontend front = front_with_server();
    g_autofree char *flood = g_strnfill(100000, 'f');
    int peer = connect_peer();

    claim(&front, &front_handlers);
    chardev_want_read(front.chardev, true);
    LOOP_UNTIL(front.opened == 1);
    g_assert_cmpint(send(peer, flood, 100000, 0), ==, 100000);
    front.output = "x";
    front.output_len = 1;
    chardev_want_write(front.chardev, true);
    LOOP_UNTIL(front.output_len == 0);
    g_assert_cmpuint(front.data->len, <, 100000);
    close(peer);
    finish(&front);
}

static void test_disconnect(void)
{
    Frontend front = front_with_server();
    int peer = connect_peer();

    claim(&front, &front_handlers);
    front.on_readable = ACT_DISCONNECT;
    chardev_want_read(front.chardev, true);
    LOOP_UNTIL(front.opened == 1);
    send_all(peer, "garbage");
    LOOP_UNTIL(front.closed == 1);
    g_assert_cmpuint(front.readable, ==, 1);
    g_assert_true(peer_sees_end(peer));
    close(peer);
    chardev_disconnect(front.chardev); /* harmless without a peer */
    g_assert_cmpuint(front.closed, ==, 1);
    /* It listens on, and what the frontend wants has not changed. */
    front.on_readable = ACT_READ;
    peer = connect_peer();
    send_all(peer, "fine");
    LOOP_UNTIL(front.data->len == 4);
    /* From within opened() and writable(), too. */
    front.on_opened = ACT_DISCONNECT;
    close(peer);
    peer = connect_peer();
    LOOP_UNTIL(front.closed == 3);
    close(peer);
    front.on_opened = ACT_NONE;
    front.on_writable = ACT_DISCONNECT;
    chardev_want_write(front.chardev, true);
    peer = connect_peer();
    LOOP_UNTIL(front.closed == 4);
    close(peer);
    finish(&front);
}

static void test_delete_in_handler(gconstpointer data)
{
    int which = GPOINTER_TO_INT(data);
    Frontend front = front_with_server();
    int peer;

    claim(&front, &front_handlers);
    front.on_opened = which == 0 ? ACT_DELETE : ACT_NONE;
    front.on_readable = which == 1 ? ACT_DELETE : ACT_READ;
    front.on_writable = which == 2 ? ACT_DELETE : ACT_NONE;
    front.on_closed = which >= 3 ? ACT_DELETE : ACT_NONE;
    chardev_want_read(front.chardev, true);
    chardev_want_write(front.chardev, which == 2);
    peer = connect_peer();
    send_all(peer, "x");
    if (which == 3) {
        close(peer);
        peer = -1;
    }
    LOOP_UNTIL(which == 4 ? front.data->len == 1 : !front.chardev);
    if (which == 4) {
        chardev_disconnect(front.chardev);
        g_assert_null(front.chardev);
    }
    settle();
    if (peer >= 0) {
        g_assert_true(peer_sees_end(peer));
        close(peer);
    }
    finish(&front);
}

static void test_destroy_connected(void)
{
    Frontend front = front_with_server();
    int peer = connect_peer();

    claim(&front, &front_handlers);
    chardev_want_read(front.chardev, true);
    LOOP_UNTIL(front.opened == 1);
    object_destroy_all();
    front.chardev = NULL;
    g_assert_true(peer_sees_end(peer));
    g_assert_cmpuint(front.closed, ==, 0);
    settle();
    close(peer);
    finish(&front);
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
        peer = address_connect_sync(&address, &error);
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
    int peer = connect_peer();

    claim(&front, &front_handlers);
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
    finish(&front);
}

static void test_client_refused(void)
{
    g_autoptr(GError) error = NULL;
    json_auto_t *props = json_pack("{s:s}", "path", sock_path);
    g_autofree char *text = g_strdup_printf(
        "Failed to connect to '%s': No such file or directory", sock_path);

    g_assert_null(object_new(OBJECT_KIND_CHARDEV, "socket", "c", props,
                             PROP_SYNTAX_TEXT, &error));
    g_assert_cmpstr(error->message, ==, text);
}

static int listen_here(void)
{
    g_autoptr(GError) error = NULL;
    Address address = {.type = ADDRESS_UNIX, .path = sock_path};
    int fd = address_listen(&address, &error);

    g_assert_no_error(error);
    return fd;
}

static void stop_listening(int fd)
{
    Address address = {.type = ADDRESS_UNIX, .path = sock_path};

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

    make("");
    claim(&front, &front_handlers);
    g_assert_cmpuint(front.opened, ==, 1);
    peer = accept_one(listener);
    close(peer);
    LOOP_UNTIL(front.closed == 1);
    /* Without reconnect that is the end. */
    settle();
    g_assert_cmpint(address_accept(listener), ==, -1);
    stop_listening(listener);
    finish(&front);
}

/* Not there, there, gone and there again. The outage is one line of log. */
static void test_client_reconnects(void)
{
    g_autofree char *log = g_build_filename(tmp_dir, "log", NULL);
    g_autofree char *lines = NULL;
    g_auto(GStrv) said = NULL;
    Frontend front = {.on_readable = ACT_READ};
    int listener, peer;

    g_assert_true(log_open(log, NULL));
    make(",\"reconnect-ms\":\"3\"");
    claim(&front, &front_handlers);
    chardev_want_read(front.chardev, true);
    settle();
    ((ChardevSocket *)front.chardev)->failure_limit.next_us = 0;
    settle();
    g_assert_cmpuint(front.opened, ==, 0);
    g_assert_cmpuint(((ChardevSocket *)front.chardev)->attempts, >, 2);
    g_assert_true(g_file_get_contents(log, &lines, NULL, NULL));
    said = g_strsplit(lines,
                      "Unable to connect character device c: Failed to "
                      "connect to '",
                      -1);
    g_assert_cmpuint(g_strv_length(said), ==, 2);
    listener = listen_here();
    for (unsigned i = 1; i <= 3; i++) {
        peer = accept_one(listener);
        send_all(peer, "x");
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
    finish(&front);
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
    LOOP_UNTIL(socket->attempts > 3);
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

static gpointer late_peer(gpointer opaque)
{
    g_usleep(50000);
    return GINT_TO_POINTER(connect_peer());
}

static void test_wait(void)
{
    GThread *thread = g_thread_new("peer", late_peer, NULL);
    gint64 start = g_get_monotonic_time();
    Chardev *chardev = make(",\"server\":\"on\"");
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

    claim(&front, &front_handlers);
    for (unsigned round = 1; round <= 300; round++) {
        int peer = connect_peer();
        int n = g_test_rand_int_range(0, 4);

        for (int i = 0; i < n; i++) {
            g_autofree char *text =
                g_strnfill((gsize)g_test_rand_int_range(1, 3000),
                           (char)g_test_rand_int_range('a', 'z'));

            send_all(peer, text);
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
    finish(&front);
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
    g_test_add_data_func("/chardev-socket/half-closed/silent",
                         GINT_TO_POINTER(false), test_half_closed);
    g_test_add_data_func("/chardev-socket/half-closed/talking",
                         GINT_TO_POINTER(true), test_half_closed);
}

int main(int argc, char **argv)
{
    int status;

    g_test_init(&argc, &argv, NULL);
    tmp_dir = g_dir_make_tmp("tapferry-XXXXXX", NULL);
    sock_path = g_build_filename(tmp_dir, "s", NULL);
#define ADD(name, func) g_test_add_func("/chardev-socket/" name, func)
    ADD("talk", test_talk);
    ADD("opened-at-claim", test_opened_at_claim);
    ADD("data-before-claim", test_data_before_claim);
    ADD("data-before-deaf-claim", test_data_before_deaf_claim);
    ADD("change-of-frontend", test_change_of_frontend);
    ADD("broken-while-writing", test_broken_while_writing);
    ADD("write-to-gone", test_write_to_gone);
    ADD("read-unasked", test_read_unasked);
    ADD("much", test_much);
    ADD("fair", test_fair);
    ADD("disconnect", test_disconnect);
    ADD("destroy-connected", test_destroy_connected);
    ADD("nodelay", test_nodelay);
    ADD("no-descriptors", test_no_descriptors);
    ADD("client/refused", test_client_refused);
    ADD("client/once", test_client_once);
    ADD("client/reconnects", test_client_reconnects);
    ADD("client/reconnects-tcp", test_client_reconnects_tcp);
    ADD("wait", test_wait);
    ADD("random-peers", test_random_peers);
    add_tests();
    status = g_test_run();
    g_rmdir(tmp_dir);
    g_free(sock_path);
    g_free(tmp_dir);
    return status;
}
