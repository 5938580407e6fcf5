/* SPDX-License-Identifier: BSD-2-Clause */
#include "socket-fixture.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <glib/gstdio.h>

char *socket_dir;
char *socket_path;

static void settled(void *opaque)
{
    *(bool *)opaque = true;
}

void socket_settle(void)
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

void front_act(Frontend *front, Act what)
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
    front_act(front, front->on_opened);
}

static void front_closed(void *opaque)
{
    Frontend *front = opaque;

    front->closed++;
    g_assert_cmpuint(front->opened, ==, front->closed);
    front_act(front, front->on_closed);
}

static void front_readable(void *opaque)
{
    Frontend *front = opaque;

    front->readable++;
    front_act(front, front->on_readable);
}

static void front_writable(void *opaque)
{
    Frontend *front = opaque;
    struct iovec iov[2];
    ssize_t n;

    front->writable++;
    if (front->on_writable != ACT_NONE) {
        front_act(front, front->on_writable);
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

const ChardevHandlers front_handlers = {
    .opened = front_opened,
    .closed = front_closed,
    .readable = front_readable,
    .writable = front_writable,
};

const ChardevHandlers front_deaf_handlers = {
    .opened = front_opened,
    .closed = front_closed,
    .writable = front_writable,
};

Chardev *socket_make(const char *more)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text =
        g_strdup_printf("{\"path\":\"%s\"%s}", socket_path, more);
    json_auto_t *props = json_loads(text, 0, NULL);
    Object *obj = object_new(OBJECT_KIND_CHARDEV, "socket", "c", props,
                             PROP_SYNTAX_TEXT, &error);

    g_assert_no_error(error);
    return (Chardev *)obj;
}

Chardev *socket_make_server(void)
{
    return socket_make(",\"server\":\"on\",\"wait\":\"off\"");
}

void front_claim(Frontend *front, const ChardevHandlers *handlers)
{
    g_autoptr(GError) error = NULL;

    if (!front->data) {
        front->data = g_string_new(NULL);
    }
    front->chardev = chardev_claim("c", handlers, front, &error);
    g_assert_no_error(error);
}

Frontend front_with_server(void)
{
    socket_make_server();
    return (Frontend){.on_readable = ACT_READ};
}

void front_finish(Frontend *front)
{
    if (front->data) {
        g_string_free(front->data, TRUE);
    }
    if (front->chardev) {
        front_act(front, ACT_DELETE);
    }
    g_assert_cmpuint(object_list(OBJECT_KIND_CHARDEV)->len, ==, 0);
    g_assert_false(g_file_test(socket_path, G_FILE_TEST_EXISTS));
}

int peer_connect(void)
{
    g_autoptr(GError) error = NULL;
    Address address = {.type = ADDRESS_UNIX, .path = socket_path};
    int fd = address_connect_sync(&address, 10000, &error);

    g_assert_no_error(error);
    return fd;
}

void peer_send(int fd, const char *text)
{
    size_t n = strlen(text);

    g_assert_cmpint(send(fd, text, n, MSG_NOSIGNAL), ==, (ssize_t)n);
}

void peer_expect(int fd, const char *bytes, size_t n)
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

bool peer_sees_end(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);

    return n == 0 || (n < 0 && errno == ECONNRESET);
}

int socket_fixture_main(int argc, char **argv, void (*add_tests)(void))
{
    int status;

    g_test_init(&argc, &argv, NULL);
    socket_dir = g_dir_make_tmp("tapferry-XXXXXX", NULL);
    socket_path = g_build_filename(socket_dir, "s", NULL);
    add_tests();
    status = g_test_run();
    g_rmdir(socket_dir);
    g_free(socket_path);
    g_free(socket_dir);
    return status;
}
