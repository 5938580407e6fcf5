/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/connection.h"

#include "base/log.h"
#include "base/loop.h"
#include "chardev/chardev.h"
#include "monitor/hmp.h"
#include "monitor/qmp-session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

/* Read per wakeup: what a client can make the daemon do between two rounds of
 * packets. */
#define CONNECTION_READ_SIZE 2048
/* Owing more than this, the client is not read from. */
#define CONNECTION_MAX_BEFORE_READ (256 << 10)
/* Owing more than this, it is cut off. */
#define CONNECTION_MAX_OWED (8 << 20)
/* How long the end waits for a client to take its last reply. */
#define CONNECTION_LINGER_MS 200

typedef struct Connection {
    MonitorMode mode;
    int in_fd, out_fd;     /* one socket twice, or standard input and output */
    int out_flags;         /* of standard output, to be restored; or -1 */
    bool terminal;         /* a person's; edits lines by itself no more */
    struct termios cooked; /* to be restored, with terminal */
    guint file_source;     /* reads a regular file on standard input */
    LoopWatch in, out;     /* a socket is watched by in alone */
    Chardev *chardev;      /* instead of the descriptors */
    QmpSession *qmp;       /* one of the two, NULL between two peers */
    HmpSession *hmp;
    GString *owed;
    bool feeding; /* the session is at work: it must not be freed */
    bool eof;     /* nothing more comes in */
    bool ended;   /* the peer is gone or was cut off */
} Connection;

static GPtrArray *connections;
static guint connection_reaper;

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

    loop_watch_remove(&conn->in);
    loop_watch_remove(&conn->out);
    g_clear_handle_id(&conn->file_source, g_source_remove);
    chardev_release(conn->chardev);
    if (conn->terminal) {
        tcsetattr(conn->in_fd, TCSADRAIN, &conn->cooked);
    }
    if (conn->out_flags >= 0) {
        fcntl(conn->out_fd, F_SETFL, conn->out_flags);
    } else if (conn->in_fd >= 0) {
        close(conn->in_fd);
    }
    connection_end_session(conn);
    g_string_free(conn->owed, TRUE);
    g_free(conn);
}

static gboolean connection_reap(gpointer user_data)
{
    connection_reaper = 0;
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
    return G_SOURCE_REMOVE;
}

/* The connection is over. It is freed later: its session may be at work. */
static void connection_end(Connection *conn)
{
    conn->ended = true;
    g_string_truncate(conn->owed, 0);
    loop_watch_remove(&conn->in);
    loop_watch_remove(&conn->out);
    g_clear_handle_id(&conn->file_source, g_source_remove);
    if (!connection_reaper) {
        connection_reaper =
            g_idle_add_full(G_PRIORITY_DEFAULT, connection_reap, NULL, NULL);
    }
}

static bool connection_wants_read(const Connection *conn)
{
    return !conn->eof && conn->owed->len < CONNECTION_MAX_BEFORE_READ;
}

/* Asks the transport for what is needed now. */
static void connection_update(Connection *conn)
{
    bool want_read = connection_wants_read(conn);
    bool want_write = conn->owed->len > 0;
    uint32_t in = want_read ? EPOLLIN : 0;
    uint32_t out = want_write ? EPOLLOUT : 0;

    if (conn->ended) {
        return;
    }
    if (conn->chardev) {
        chardev_want_read(conn->chardev, want_read);
        chardev_want_write(conn->chardev, want_write);
    } else if (conn->in_fd == conn->out_fd) {
        loop_watch_modify(&conn->in, in | out);
    } else {
        if (conn->in.fd >= 0) {
            loop_watch_modify(&conn->in, in);
        }
        loop_watch_modify(&conn->out, out);
    }
}

static ssize_t connection_write(Connection *conn)
{
    struct iovec iov = {.iov_base = conn->owed->str,
                        .iov_len = conn->owed->len};
    ssize_t n;

    if (conn->chardev) {
        return chardev_writev(conn->chardev, &iov, 1);
    }
    n = write(conn->out_fd, conn->owed->str, conn->owed->len);
    return n < 0 ? -errno : n;
}

static void connection_flush(Connection *conn)
{
    while (!conn->ended && conn->owed->len > 0) {
        ssize_t n = connection_write(conn);

        if (n > 0) {
            /* A write callback may have ended it meanwhile. */
            g_string_erase(conn->owed, 0, MIN(n, (ssize_t)conn->owed->len));
        } else if (n == -EAGAIN || n == 0) {
            break;
        } else if (n != -EINTR) {
            connection_end(conn);
        }
    }
    if (conn->owed->len == 0 && conn->eof && conn->in_fd == conn->out_fd &&
        !conn->chardev && !conn->ended) {
        connection_end(conn);
    }
    connection_update(conn);
}

static void connection_output(void *opaque, const char *data, size_t size)
{
    Connection *conn = opaque;

    if (conn->ended) {
        return;
    }
    g_string_append_len(conn->owed, data, (gssize)size);
    if (conn->owed->len > CONNECTION_MAX_OWED) {
        log_warning("monitor", "a client does not take its replies: cut off");
        connection_end(conn);
    }
}

static void connection_start_session(Connection *conn)
{
    if (conn->mode.control) {
        conn->qmp = qmp_session_new(conn->mode.pretty, connection_output, conn);
    } else {
        conn->hmp = hmp_session_new(conn->terminal, connection_output, conn);
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
    ssize_t n = read(conn->in_fd, buffer, sizeof(buffer));

    if (n > 0) {
        connection_feed(conn, buffer, (size_t)n);
    } else if (n == 0) {
        conn->eof = true;
        if (conn->in_fd != conn->out_fd) {
            loop_watch_remove(&conn->in);
        }
    } else if (errno != EAGAIN && errno != EINTR) {
        connection_end(conn);
    }
    connection_flush(conn);
}

static void connection_in_ready(void *opaque, uint32_t events)
{
    Connection *conn = opaque;

    if (events & EPOLLIN || (events & EPOLLHUP && conn->in.events & EPOLLIN)) {
        connection_read(conn);
    } else if (events & (EPOLLERR | EPOLLHUP)) {
        /* Gone with its replies not taken. */
        connection_end(conn);
    } else {
        connection_flush(conn);
    }
}

static void connection_out_ready(void *opaque, uint32_t events)
{
    Connection *conn = opaque;

    if (events & (EPOLLERR | EPOLLHUP)) {
        connection_end(conn);
    } else {
        connection_flush(conn);
    }
}

/* A regular file is always readable, and epoll refuses it. */
static gboolean connection_read_file(gpointer opaque)
{
    Connection *conn = opaque;

    if (connection_wants_read(conn)) {
        connection_read(conn);
    }
    if (conn->eof || conn->ended) {
        conn->file_source = 0;
        return G_SOURCE_REMOVE;
    }
    return G_SOURCE_CONTINUE;
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
    conn->in_fd = -1;
    conn->out_fd = -1;
    conn->out_flags = -1;
    conn->in = LOOP_WATCH_INIT;
    conn->out = LOOP_WATCH_INIT;
    conn->owed = g_string_new(NULL);
    if (!connections) {
        connections = g_ptr_array_new_with_free_func(connection_free);
    }
    g_ptr_array_add(connections, conn);
    return conn;
}

void connection_open_socket(int fd, MonitorMode mode)
{
    Connection *conn = connection_new(mode);

    conn->in_fd = fd;
    conn->out_fd = fd;
    loop_watch_add(&conn->in, fd, EPOLLIN, connection_in_ready, conn);
    connection_start_session(conn);
    connection_flush(conn);
}

/* A person's terminal leaves echo and editing to the session. */
static void connection_take_terminal(Connection *conn)
{
    struct termios raw;

    if (conn->mode.control || tcgetattr(conn->in_fd, &conn->cooked) != 0) {
        return;
    }
    raw = conn->cooked;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | IEXTEN);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    conn->terminal = tcsetattr(conn->in_fd, TCSADRAIN, &raw) == 0;
}

void connection_open_stdio(MonitorMode mode)
{
    Connection *conn = connection_new(mode);
    struct stat st;

    conn->in_fd = STDIN_FILENO;
    conn->out_fd = STDOUT_FILENO;
    connection_take_terminal(conn);
    /* Others may have it open, too, and get it back as it was. */
    conn->out_flags = fcntl(STDOUT_FILENO, F_GETFL);
    fcntl(STDOUT_FILENO, F_SETFL, conn->out_flags | O_NONBLOCK);
    if (fstat(STDIN_FILENO, &st) == 0 && S_ISREG(st.st_mode)) {
        conn->file_source = g_idle_add_full(G_PRIORITY_DEFAULT,
                                            connection_read_file, conn, NULL);
    } else {
        loop_watch_add(&conn->in, STDIN_FILENO, EPOLLIN, connection_in_ready,
                       conn);
    }
    loop_watch_add(&conn->out, STDOUT_FILENO, 0, connection_out_ready, conn);
    connection_start_session(conn);
    connection_flush(conn);
}

bool connection_open_chardev(const char *id, MonitorMode mode, GError **errp)
{
    Connection *conn = connection_new(mode);

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

void connection_close_all(void)
{
    for (guint i = 0; i < connection_count(); i++) {
        Connection *conn = connections->pdata[i];

        if (!conn->chardev && !conn->ended && conn->owed->len > 0) {
            struct pollfd pfd = {.fd = conn->out_fd, .events = POLLOUT};

            poll(&pfd, 1, CONNECTION_LINGER_MS);
        }
        connection_flush(conn);
    }
    g_clear_handle_id(&connection_reaper, g_source_remove);
    g_clear_pointer(&connections, g_ptr_array_unref);
}
