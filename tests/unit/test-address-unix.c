/* SPDX-License-Identifier: BSD-2-Clause */
/* Unix socket addresses: files and abstract names. */
#include "address-fixture.h"

#include <unistd.h>

#include <glib/gstdio.h>

static char *tmp_dir;

static char *tmp_path(const char *name)
{
    return g_build_filename(tmp_dir, name, NULL);
}

static void test_unix(void)
{
    g_autofree char *path = tmp_path("round");
    Address address = {.type = ADDRESS_UNIX, .path = path};

    address_check_round_trip(&address);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
}

static void test_abstract(void)
{
    g_autofree char *name = g_strdup_printf("tapferry-test-%d", getpid());
    Address address = {.type = ADDRESS_UNIX, .path = name, .abstract = true};

    address_check_round_trip(&address);
    address.padded = true;
    address_check_round_trip(&address);
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
    address_assert_error(&error, text);
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
    address_assert_error(&error, text);
    g_assert_cmpint(address_connect(&address, NULL, 0, &error), ==, -1);
    address_assert_error(&error, text);
    address.path = (char *)"";
    g_assert_cmpint(address_listen(&address, &error), ==, -1);
    address_assert_error(&error, "UNIX socket path is empty");
    address.path = (char *)"/nonexistent/x";
    g_assert_cmpint(address_listen(&address, &error), ==, -1);
    address_assert_error(&error,
                         "Failed to bind socket to /nonexistent/x: No such "
                         "file or directory");
    g_assert_cmpint(address_connect(&address, NULL, 0, &error), ==, -1);
    address_assert_error(&error,
                         "Failed to connect to '/nonexistent/x': No such file "
                         "or directory");
}

/* A server that accepts nobody: the backlog is full at some point, and
 * connect() blocks. */
static void test_unix_full(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = tmp_path("full");
    g_autofree char *text = g_strdup_printf(
        "Failed to connect to '%s': Connection timed out", path);
    Address address = {.type = ADDRESS_UNIX, .path = path};
    g_autoptr(GArray) clients = g_array_new(FALSE, FALSE, sizeof(int));
    int listener = address_listen(&address, &error);
    int fd;

    g_assert_no_error(error);
    while ((fd = address_connect_sync(&address, 50, &error)) >= 0) {
        g_array_append_val(clients, fd);
    }
    address_assert_error(&error, text);
    for (guint i = 0; i < clients->len; i++) {
        close(g_array_index(clients, int, i));
    }
    address_listen_close(&address, listener);
}

int main(int argc, char **argv)
{
    int status;

    g_test_init(&argc, &argv, NULL);
    tmp_dir = g_dir_make_tmp("tapferry-XXXXXX", NULL);
    g_test_add_func("/address/unix/path", test_unix);
    g_test_add_func("/address/unix/abstract", test_abstract);
    g_test_add_func("/address/unix/stale", test_unix_stale);
    g_test_add_func("/address/unix/file", test_unix_file);
    g_test_add_func("/address/unix/errors", test_unix_errors);
    g_test_add_func("/address/unix/full", test_unix_full);
    status = g_test_run();
    g_rmdir(tmp_dir);
    g_free(tmp_dir);
    return status;
}
