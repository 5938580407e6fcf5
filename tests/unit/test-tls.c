/* SPDX-License-Identifier: BSD-2-Clause */
/* Two TLS transports on a socket pair, step by step: what they hold, what they
 * owe, and what a bad peer makes of them. */
#include "chardev/tls.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib/gstdio.h>

#define KEY "00112233445566778899aabbccddeeff"
#define KEYS "# a comment\n\nqemu:" KEY "\n"
#define OTHER_KEY "ffeeddccbbaa99887766554433221100"

static char *tmp_dir;

static void write_keys(const char *text)
{
    g_autofree char *path = g_build_filename(tmp_dir, "keys.psk", NULL);

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static TlsCreds *creds_try(const char *id, const char *endpoint,
                           const char *username, GError **errp)
{
    json_auto_t *props = json_pack("{s:s, s:s, s:s*}", "dir", tmp_dir,
                                   "endpoint", endpoint, "username", username);

    return (TlsCreds *)object_new(OBJECT_KIND_OBJECT, "tls-creds-psk", id,
                                  props, PROP_SYNTAX_JSON, errp);
}

static TlsCreds *creds_make(const char *id, const char *endpoint)
{
    g_autoptr(GError) error = NULL;
    TlsCreds *creds = creds_try(id, endpoint, NULL, &error);

    g_assert_no_error(error);
    return creds;
}

typedef struct Pair {
    TlsCreds *server_creds, *client_creds;
    Transport *server, *client;
} Pair;

static Transport *pair_end(int fd, TlsCreds *creds)
{
    g_autoptr(GError) error = NULL;
    Transport *end = tls_new(fd, creds, NULL, &error);

    g_assert_no_error(error);
    return end;
}

static void pair_init(Pair *pair, const char *server_keys)
{
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds),
                    ==, 0);
    write_keys(server_keys);
    pair->server_creds = creds_make("s", "server");
    write_keys(KEYS);
    pair->client_creds = creds_make("c", "client");
    pair->server = pair_end(fds[0], pair->server_creds);
    pair->client = pair_end(fds[1], pair->client_creds);
}

/* Both sides' last answers. */
static void pair_shake(const Pair *pair, int *server, int *client)
{
    *server = -EAGAIN;
    *client = -EAGAIN;
    for (int i = 0; i < 20; i++) {
        if (*client == -EAGAIN) {
            *client = transport_handshake(pair->client);
        }
        if (*server == -EAGAIN) {
            *server = transport_handshake(pair->server);
        }
    }
}

static void pair_open(Pair *pair)
{
    int server, client;

    pair_init(pair, KEYS);
    pair_shake(pair, &server, &client);
    g_assert_cmpint(server, ==, 0);
    g_assert_cmpint(client, ==, 0);
}

static void pair_close(Pair *pair)
{
    transport_free(pair->client);
    transport_free(pair->server);
    object_destroy(&pair->client_creds->object);
    object_destroy(&pair->server_creds->object);
}

static ssize_t put(Transport *transport, const void *data, size_t size)
{
    struct iovec iov = {.iov_base = (void *)data, .iov_len = size};

    return transport_writev(transport, &iov, 1);
}

static void test_bytes(void)
{
    Pair pair;
    struct iovec iov[] = {{(char *)"ab", 2}, {NULL, 0}, {(char *)"cdef", 4}};
    char buffer[16];

    pair_open(&pair);
    g_assert_cmpint(transport_writev(pair.client, iov, 3), ==, 6);
    g_assert_false(transport_owes(pair.client));
    g_assert_false(transport_pending(pair.server));
    g_assert_cmpint(transport_read(pair.server, buffer, 2), ==, 2);
    /* The record is out of the kernel: only we know of the rest. */
    g_assert_true(transport_pending(pair.server));
    g_assert_cmpint(transport_read(pair.server, buffer + 2, 14), ==, 4);
    g_assert_cmpmem(buffer, 6, "abcdef", 6);
    g_assert_false(transport_pending(pair.server));
    g_assert_cmpint(transport_read(pair.server, buffer, 16), ==, -EAGAIN);
    g_assert_cmpint(put(pair.server, "xyz", 3), ==, 3);
    g_assert_cmpint(transport_read(pair.client, buffer, 16), ==, 3);
    pair_close(&pair);
}

/* Bytes that tell where in the stream they stand. */
static void fill(uint8_t *data, size_t size, size_t from)
{
    for (size_t i = 0; i < size; i++) {
        data[i] = (uint8_t)((from + i) * 2654435761U >> 24);
    }
}

static size_t drain(Transport *transport, size_t from)
{
    uint8_t got[50000], wanted[50000];
    size_t total = 0;
    ssize_t n;

    while ((n = transport_read(transport, got, sizeof(got))) > 0) {
        fill(wanted, (size_t)n, from + total);
        g_assert_cmpmem(got, n, wanted, n);
        total += (size_t)n;
    }
    g_assert_cmpint(n, ==, -EAGAIN);
    return total;
}

static void test_back_pressure(void)
{
    g_autofree uint8_t *data = g_malloc(300000);
    size_t sent = 0, received = 0;
    Pair pair;
    ssize_t n;

    pair_open(&pair);
    for (int round = 0; round < 20; round++) {
        fill(data, 300000, sent);
        while ((n = put(pair.client, data, 300000 - (size_t)round)) > 0) {
            sent += (size_t)n;
            /* What was not taken may be anything the next time. */
            fill(data, 300000, sent);
        }
        g_assert_cmpint(n, ==, -EAGAIN);
        g_assert_true(transport_owes(pair.client));
        received += drain(pair.server, received);
        transport_flush(pair.client);
        g_assert_false(transport_owes(pair.client));
        received += drain(pair.server, received);
        g_assert_cmpuint(received, ==, sent);
    }
    g_assert_cmpuint(sent, >, 1000000);
    pair_close(&pair);
}

static void test_bye(void)
{
    Pair pair;
    char buffer[16];

    pair_open(&pair);
    put(pair.client, "last", 4);
    g_clear_pointer(&pair.client, transport_free);
    g_assert_cmpint(transport_read(pair.server, buffer, 16), ==, 4);
    /* The kernel has nothing more to tell. */
    g_assert_true(transport_pending(pair.server));
    g_assert_cmpint(transport_read(pair.server, buffer, 16), ==, 0);
    g_assert_cmpint(transport_read(pair.server, buffer, 16), ==, 0);
    g_assert_null(transport_failure(pair.server));
    pair_close(&pair);
}

static void test_cut(void)
{
    Pair pair;
    char buffer[16];

    pair_open(&pair);
    put(pair.client, "last", 4);
    shutdown(pair.client->fd, SHUT_RDWR);
    g_assert_cmpint(transport_read(pair.server, buffer, 16), ==, 4);
    g_assert_cmpint(transport_read(pair.server, buffer, 16), ==, -ECONNRESET);
    g_assert_null(transport_failure(pair.server));
    g_assert_cmpint(put(pair.client, "more", 4), ==, -EPIPE);
    pair_close(&pair);
}

/* Bytes that the key holder has not sealed are never handed out. */
static void test_forged(void)
{
    static const uint8_t record[] = {23, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8,
                                     9,  1, 2, 3, 4,  5, 6, 7, 8, 9, 0, 0};
    Pair pair;
    char buffer[64];

    pair_open(&pair);
    g_assert_cmpint(write(pair.client->fd, record, sizeof(record)), ==,
                    sizeof(record));
    g_assert_cmpint(transport_read(pair.server, buffer, 64), ==, -ECONNRESET);
    g_assert_nonnull(transport_failure(pair.server));
    pair_close(&pair);
}

static void test_garbage(void)
{
    Pair pair;

    pair_init(&pair, KEYS);
    g_assert_cmpint(transport_handshake(pair.server), ==, -EAGAIN);
    g_assert_cmpint(write(pair.client->fd, "\x16\x03\x01", 3), ==, 3);
    g_assert_cmpint(transport_handshake(pair.server), ==, -EAGAIN);
    g_assert_cmpint(write(pair.client->fd, "GET / HTTP/1.0\r\n", 16), ==, 16);
    shutdown(pair.client->fd, SHUT_WR);
    g_assert_cmpint(transport_handshake(pair.server), ==, -EPROTO);
    g_assert_nonnull(transport_failure(pair.server));
    pair_close(&pair);
}

static void test_wrong_key(void)
{
    static const char *const keys[] = {"qemu:" OTHER_KEY "\n",
                                       "nobody:" KEY "\n"};

    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        Pair pair;
        int server, client;

        pair_init(&pair, keys[i]);
        pair_shake(&pair, &server, &client);
        g_assert_cmpint(server, ==, -EPROTO);
        g_assert_cmpint(client, ==, -EPROTO);
        g_assert_nonnull(transport_failure(pair.server));
        g_assert_true(g_str_has_prefix(transport_failure(pair.client),
                                       "the peer says: "));
        pair_close(&pair);
    }
}

static void expect_refused(const char *endpoint, const char *username,
                           const char *part)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(creds_try("x", endpoint, username, &error));
    g_assert_error(error, TF_ERROR, TF_ERROR_GENERIC);
    g_assert_nonnull(strstr(error->message, part));
    g_assert_null(object_find(OBJECT_KIND_OBJECT, "x"));
}

static void test_keys_refused(void)
{
    g_autofree char *path = g_build_filename(tmp_dir, "keys.psk", NULL);

    write_keys(KEYS);
    expect_refused("server", "bob",
                   "username should not be set when endpoint=server");
    expect_refused("client", "bob", "Username bob not found in PSK file");
    write_keys("qemu:" KEY "\nrubbish\n");
    expect_refused("server", NULL, "line 2 is not USER:HEX");
    write_keys("qemu:12zz\n");
    expect_refused("client", NULL, "line 1 is not USER:HEX");
    g_unlink(path);
    expect_refused("server", NULL, "Unable to access credentials");
}

static void test_find(void)
{
    g_autoptr(GError) missing = NULL;
    g_autoptr(GError) wrong = NULL;
    TlsCreds *creds;

    write_keys(KEYS);
    creds = creds_make("s", "server");
    g_assert_true(tls_creds_find("s", TLS_ENDPOINT_SERVER, NULL) == creds);
    g_assert_null(tls_creds_find("s", TLS_ENDPOINT_CLIENT, &wrong));
    g_assert_cmpstr(wrong->message, ==,
                    "Expected TLS credentials for a client endpoint");
    g_assert_null(tls_creds_find("no", TLS_ENDPOINT_CLIENT, &missing));
    g_assert_cmpstr(missing->message, ==, "No TLS credentials with id 'no'");
    object_destroy(&creds->object);
}

int main(int argc, char **argv)
{
    g_autofree char *path = NULL;
    int status;

    g_test_init(&argc, &argv, NULL);
    tmp_dir = g_dir_make_tmp("test-tls-XXXXXX", NULL);
    path = g_build_filename(tmp_dir, "keys.psk", NULL);
    g_test_add_func("/tls/bytes", test_bytes);
    g_test_add_func("/tls/back-pressure", test_back_pressure);
    g_test_add_func("/tls/bye", test_bye);
    g_test_add_func("/tls/cut", test_cut);
    g_test_add_func("/tls/forged", test_forged);
    g_test_add_func("/tls/garbage", test_garbage);
    g_test_add_func("/tls/wrong-key", test_wrong_key);
    g_test_add_func("/tls/keys-refused", test_keys_refused);
    g_test_add_func("/tls/find", test_find);
    status = g_test_run();
    g_unlink(path);
    g_rmdir(tmp_dir);
    g_free(tmp_dir);
    return status;
}
