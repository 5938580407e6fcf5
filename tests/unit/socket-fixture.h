/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A frontend of a socket chardev, whose handlers take notes and pull the
 * chardev from under themselves if told to, and the peers that come to it.
 */
#ifndef TF_TESTS_SOCKET_FIXTURE_H
#define TF_TESTS_SOCKET_FIXTURE_H

#include "base/loop.h"
#include "chardev/socket.h"

#include <glib.h>

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

/* The directory of the tests, and the socket in it. */
extern char *socket_dir;
extern char *socket_path;

/* Turns the loop until @condition; fails after ten seconds. */
#define LOOP_UNTIL(condition)                                                  \
    do {                                                                       \
        gint64 loop_end = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;        \
        while (!(condition)) {                                                 \
            g_assert_cmpint(g_get_monotonic_time(), <, loop_end);              \
            loop_iterate(false);                                               \
        }                                                                      \
    } while (0)

extern const ChardevHandlers front_handlers;
/* Of one that only writes. */
extern const ChardevHandlers front_deaf_handlers;

/* The socket chardev "c" on socket_path; @more: its further properties in JSON,
 * from the comma on. It lives until it is deleted. */
Chardev *socket_make(const char *more);

/* A server that does not wait for its first peer. */
Chardev *socket_make_server(void);

/* Makes @front the frontend of "c". */
void front_claim(Frontend *front, const ChardevHandlers *handlers);

/* Makes a server and its frontend, which reads. */
Frontend front_with_server(void);

/* What the handlers do that are told to. */
void front_act(Frontend *front, Act what);

/* Deletes the chardev, if that has not been done; it leaves nothing behind. */
void front_finish(Frontend *front);

/* Long enough for what should not happen to have happened; and nothing may
 * keep the loop busy meanwhile. */
void socket_settle(void);

/* Returns the caller's descriptor. */
int peer_connect(void);

void peer_send(int fd, const char *text);

/* Reads @n bytes, turning the loop, and compares. */
void peer_expect(int fd, const char *bytes, size_t n);

bool peer_sees_end(int fd);

/* Runs what @add_tests adds; the status is main()'s. */
int socket_fixture_main(int argc, char **argv, void (*add_tests)(void));

#endif
