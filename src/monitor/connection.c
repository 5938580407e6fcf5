/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/connection.h"

#include "base/log.h"
#include "base/loop.h"
#include "chardev/chardev.h"
#include "monitor/hmp.h"
#include "monitor/qmp-session.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <termios.h>
#include <unistd.h>

/* Read per wakeup: what a client can make the daemon do between two rounds of
 * packets. */
#define CONNECTION_READ_SIZE 2048
/* Owing more than this, the client is not read from. */
#define CONNECTION_MAX_BEFORE_READ (256 << 10)
/* Owing more than this, it is cut off. */
#define CONNECTION_MAX_OWED (8 << 20)
/* How long the end waits for clients to take their last replies. */
#define CONNECTION_LINGER_US 200000
#define CONNECTION_LINGER_STEP_US 1000

typedef struct Connection {
    MonitorMode mode;
    int fd;                /* a socket; -1: there is a chardev */
    LoopWatch watch;       /* of fd */
    Chardev *chardev;      /* NULL while it is being claimed */
    bool terminal;         /* a person's; edits lines by itself no more */
    struct termios cooked; /* to be restored, with terminal */
    QmpSession *qmp;       /* one of the two, NULL between two peers */
    HmpSession *hmp;
    GString *owed;
    bool feeding; /* the session is at work: it must not be freed */
    bool eof;     /* nothing more comes in */
    bool ended;   /* the peer is gone or was cut off */
} Connection;

static GPtrArray *connections;
static LoopTimer connection_reaper = LOOP_TIMER_INIT;

unsigned connection_count(void)
{
    return connections ? connections->len : 0;
}

static void connection_end_session(Connection *conn)
{
    g_clear_pointer(&conn->qmp, qmp_session_free);
    g_clear_pointer(&conn->hmp, hmp_session_free);
    g_string_truncate(conn->owed, 0);
}

static void connection_free(void *opaque)
{
    Connection *conn = opaque;

    loop_watch_remove(&conn->watch);
    chardev_release(conn->chardev);
    if (conn->terminal) {
        tcsetattr(STDIN_FILENO, TCSADRAIN, &conn->cooked);
    }
    if (conn->fd >= 0) {
        close(conn->fd);
    }
    connection_end_session(conn);
    g_string_free(conn->owed, TRUE);
    g_free(conn);
}

static void connection_reap(void *opaque)
{
    for (guint i = connection_count(); i-- > 0;) {
        Connection *conn = connections->pdata[i];

        if (!conn->ended) {
            continue;
        }
        if (conn->chardev) {
            /* Its owner may have another peer for us. */
            conn->ended = false;
            connection_end_session(conn);
            chardev_disconnect(conn->chardev);
        } else {
            g_ptr_array_remove_index(connections, i);
        }
    }
}

/* The connection is over. It is freed later: its session may be at work. */
static void connection_end(Connection *conn)
{
    conn->ended = true;
    g_string_truncate(conn->owed, 0);
    loop_watch_remove(&conn->watch);
    loop_timer_set(&connection_reaper, 0);
}

/* Asks the transport for what is needed now. */
static void connection_update(Connection *conn)
{
    bool want_read = !conn->eof && conn->owed->len < CONNECTION_MAX_BEFORE_READ;
    bool want_write = conn->owed->len > 0;

    if (conn->ended) {
        return;
    }
    if (conn->chardev) {
        chardev_want_read(conn->chardev, want_read);
        chardev_want_write(conn->chardev, want_write);
    } else {
        loop_watch_modify(&conn->watch, (want_read ? EPOLLIN : 0) |
                                            (want_write ? EPOLLOUT : 0));
    }
}

/* Writes what is owed behind the first @sent bytes. */
static ssize_t connection_write(Connection *conn, size_t sent)
{
    struct iovec iov = {.iov_base = conn->owed->str + sent,
                        .iov_len = conn->owed->len - sent};
    ssize_t n;

    if (conn->chardev) {
        return chardev_writev(conn->chardev, &iov, 1);
    }
    n = write(conn->fd, iov.iov_base, iov.iov_len);
    return n < 0 ? -errno : n;
}

static void connection_flush(Connection *conn)
{
    size_t sent = 0;

    /* A write callback may end it meanwhile, and owe nothing more. */
    while (!conn->ended && sent < conn->owed->len) {
        ssize_t n = connection_write(conn, sent);

        if (n > 0) {
            sent += (size_t)n;
        } else if (n == -EAGAIN || n == 0) {
            break;
        } else if (n != -EINTR) {
            connection_end(conn);
        }
    }
    g_string_erase(conn->owed, 0, (gssize)MIN(sent, conn->owed->len));
    if (conn->owed->len == 0 && conn->eof && !conn->ended) {
        connection_end(conn);
    }
    connection_update(conn);
}

/* The session has put more into what is owed. */
static void connection_appended(void *opaque)
{
    Connection *conn = opaque;

    if (conn->ended) {
        g_string_truncate(conn->owed, 0);
    } else if (conn->owed->len > CONNECTION_MAX_OWED) {
        log_warning("monitor", "a client does not take its replies: cut off");
        connection_end(conn);
    }
}

static void connection_print(void *opaque, const char *data, size_t size)
{
    Connection *conn = opaque;

    g_string_append_len(conn->owed, data, (gssize)size);
    connection_appended(conn);
}

static void connection_start_session(Connection *conn)
{
    if (conn->mode.control) {
        conn->qmp = qmp_session_new(conn->mode.pretty, conn->owed,
                                    connection_appended, conn);
    } else {
        conn->hmp = hmp_session_new(conn->terminal, connection_print, conn);
    }
}

static void connection_feed(Connection *conn, const char *data, size_t size)
{
    conn->feeding = true;
    if (conn->qmp) {
        qmp_session_feed(conn->qmp, data, size);
    } else if (conn->hmp) {
        hmp_session_feed(conn->hmp, data, size);
    }
    conn->feeding = false;
}

static void connection_read(Connection *conn)
{
    char buffer[CONNECTION_READ_SIZE];
    ssize_t n = read(conn->fd, buffer, sizeof(buffer));

    if (n > 0) {
        connection_feed(conn, buffer, (size_t)n);
    } else if (n == 0) {
        conn->eof = true;
    } else if (errno != EAGAIN && errno != EINTR) {
        connection_end(conn);
    }
    connection_flush(conn);
}

static void connection_ready(void *opaque, uint32_t events)
{
    Connection *conn = opaque;

    if (events & EPOLLIN ||
        (events & EPOLLHUP && conn->watch.events & EPOLLIN)) {
        connection_read(conn);
    } else if (events & (EPOLLERR | EPOLLHUP)) {
        /* Gone with its replies not taken. */
        connection_end(conn);
    } else {
        connection_flush(conn);
    }
}

static void connection_opened(void *opaque)
{
    Connection *conn = opaque;

    conn->ended = false;
    connection_end_session(conn);
    connection_start_session(conn);
    if (conn->chardev) { /* else it is just being claimed */
        connection_flush(conn);
    }
}

static void connection_closed(void *opaque)
{
    Connection *conn = opaque;

    if (conn->feeding) {
        connection_end(conn);
    } else {
        connection_end_session(conn);
    }
}

static void connection_readable(void *opaque)
{
    Connection *conn = opaque;
    char buffer[CONNECTION_READ_SIZE];
    ssize_t n = chardev_read(conn->chardev, buffer, sizeof(buffer));

    if (n > 0) {
        connection_feed(conn, buffer, (size_t)n);
        connection_flush(conn);
    }
}

static void connection_writable(void *opaque)
{
    connection_flush(opaque);
}

static const ChardevHandlers connection_handlers = {
    .opened = connection_opened,
    .closed = connection_closed,
    .readable = connection_readable,
    .writable = connection_writable,
};

static Connection *connection_new(MonitorMode mode)
{
    Connection *conn = g_new0(Connection, 1);

    conn->mode = mode;
    conn->fd = -1;
    conn->watch = LOOP_WATCH_INIT;
    conn->owed = g_string_new(NULL);
    if (!connections) {
        connections = g_ptr_array_new_with_free_func(connection_free);
        loop_timer_open(&connection_reaper, connection_reap, NULL);
    }
    g_ptr_array_add(connections, conn);
    return conn;
}

void connection_open_socket(int fd, MonitorMode mode)
{
    Connection *conn = connection_new(mode);

    conn->fd = fd;
    loop_watch_add(&conn->watch, fd, EPOLLIN, connection_ready, conn);
    connection_start_session(conn);
    connection_flush(conn);
}

/* A person's terminal leaves echo and editing to the session. */
static void connection_take_terminal(Connection *conn)
{
    struct termios raw;

    if (conn->mode.control || tcgetattr(STDIN_FILENO, &conn->cooked) != 0) {
        return;
    }
    raw = conn->cooked;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | IEXTEN);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    conn->terminal = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
}

bool connection_open_chardev(const char *id, MonitorMode mode, GError **errp)
{
    Connection *conn = connection_new(mode);
    Object *obj = object_find(OBJECT_KIND_CHARDEV, id);

    if (obj && strcmp(obj->class->name, "stdio") == 0) {
        connection_take_terminal(conn);
    }
    conn->chardev = chardev_claim(id, &connection_handlers, conn, errp);
    if (!conn->chardev) {
        g_ptr_array_remove(connections, conn);
        return false;
    }
    connection_flush(conn);
    return true;
}

void connection_broadcast(json_t *event)
{
    for (guint i = 0; i < connection_count(); i++) {
        Connection *conn = connections->pdata[i];

        if (conn->qmp && !conn->ended) {
            qmp_session_event(conn->qmp, event);
            if (!conn->feeding) {
                connection_flush(conn);
            }
        }
    }
}

/* Sends what is owed; a client that is slow to take it has until @end. */
static void connection_linger(Connection *conn, gint64 end)
{
    connection_flush(conn);
    while (!conn->ended && conn->owed->len > 0 &&
           g_get_monotonic_time() < end) {
        g_usleep(CONNECTION_LINGER_STEP_US);
        connection_flush(conn);
    }
}

void connection_close_all(void)
{
    gint64 end = g_get_monotonic_time() + CONNECTION_LINGER_US;

    for (guint i = 0; i < connection_count(); i++) {
        connection_linger(connections->pdata[i], end);
    }
    loop_timer_close(&connection_reaper);
    g_clear_pointer(&connections, g_ptr_array_unref);
}
