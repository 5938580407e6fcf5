/* SPDX-License-Identifier: BSD-2-Clause */
/* What can be set on a chardev of type socket, and what it is told about. */
#include "base/loop.h"
#include "chardev/socket.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib/gstdio.h>

static char *tmp_dir;

/* Makes the chardev "c" of @props: JSON with strings for values as on the
 * command line, or nested as with chardev-add. */
static Chardev *make(const char *props, GError **errp)
{
    json_auto_t *json = json_loads(props, 0, NULL);
    bool nested = json_object_get(json, "addr") != NULL;

    g_assert_nonnull(json);
    return (Chardev *)object_new(OBJECT_KIND_CHARDEV, "socket", "c", json,
                                 nested ? PROP_SYNTAX_JSON : PROP_SYNTAX_TEXT,
                                 errp);
}

static Chardev *make_ok(const char *props)
{
    g_autoptr(GError) error = NULL;
    Chardev *chardev = make(props, &error);

    g_assert_no_error(error);
    g_assert_nonnull(chardev);
    return chardev;
}

static void delete (Chardev *chardev)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(object_del(&chardev->object, &error));
    g_assert_no_error(error);
}

#define ADDR(type, data) "{\"addr\":{\"type\":\"" type "\",\"data\":{" data "}}"

static void test_errors(void)
{
    static const struct {
        const char *props, *error;
    } rows[] = {
        {"{}", "chardev: socket: no 'host', 'path' or 'fd' given"},
        {"{\"port\":\"1\"}",
         "chardev: socket: no 'host', 'path' or 'fd' given"},
        {"{\"host\":\"h\"}", "chardev: socket: no port given"},
        {"{\"host\":\"h\",\"port\":\"1\",\"path\":\"x\"}",
         "None or one of 'path', 'fd' or 'host' option required."},
        {"{\"fd\":\"3\",\"path\":\"x\"}",
         "None or one of 'path', 'fd' or 'host' option required."},
        {"{\"fd\":\"foo\"}", "Unable to parse FD number foo"},
        {"{\"fd\":\"987654\"}", "File descriptor '987654' is not a socket"},
        {"{\"path\":\"x\",\"wait\":\"off\"}",
         "'wait' option is incompatible with socket in client connect mode"},
        {"{\"path\":\"x\",\"server\":\"on\",\"reconnect\":\"0\"}",
         "'reconnect' option is incompatible with socket in server listen "
         "mode"},
        {"{\"path\":\"x\",\"server\":\"on\",\"reconnect-ms\":\"5\"}",
         "'reconnect-ms' option is incompatible with socket in server listen "
         "mode"},
        {"{\"path\":\"x\",\"reconnect\":\"1\",\"reconnect-ms\":\"5\"}",
         "'reconnect' and 'reconnect-ms' are mutually exclusive"},
        {"{\"fd\":\"3\",\"reconnect\":\"1\"}",
         "'reconnect' option is incompatible with 'fd' address type"},
        {ADDR("inet", "\"host\":\"127.0.0.1\"") "}",
         "Parameter 'backend.data.addr.data.port' is missing"},
        {ADDR("unix", "") "}",
         "Parameter 'backend.data.addr.data.path' is missing"},
        {ADDR("fd", "\"path\":\"x\"") "}",
         "Parameter 'backend.data.addr.data.path' is unexpected"},
        {ADDR("fd", "\"str\":\"foo\"") "}",
         "Failed to add chardev 'c': Unable to parse FD number foo"},
        {ADDR("unix", "\"path\":\"x\"") ",\"server\":false,\"wait\":false}",
         "Failed to add chardev 'c': 'wait' option is incompatible with socket "
         "in client connect mode"},
        {ADDR("unix", "\"path\":\"x\"") ",\"reconnect\":1}",
         "Failed to add chardev 'c': 'reconnect' option is incompatible with "
         "socket in server listen "
         "mode"},
        {"{\"path\":\"/nonexistent/x\"}",
         "Failed to connect to '/nonexistent/x': No such file or directory"},
        {"{\"path\":\"/nonexistent/x\",\"server\":\"on\",\"wait\":\"off\"}",
         "Failed to bind socket to /nonexistent/x: No such file or directory"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        g_test_message("%s", rows[i].props);
        g_assert_null(make(rows[i].props, &error));
        g_assert_error(error, TF_ERROR, TF_ERROR_GENERIC);
        g_assert_cmpstr(error->message, ==, rows[i].error);
        g_assert_null(object_find(OBJECT_KIND_CHARDEV, "c"));
    }
}

/* Replaces the port, which is the kernel's choice, by "PORT". */
static char *filename(const Chardev *chardev)
{
    g_autofree char *name = chardev_filename(chardev);
    g_autoptr(GRegex) port = g_regex_new(":[0-9]+(?=[, ]|$)", 0, 0, NULL);

    return g_regex_replace(port, name, -1, 0, ":PORT", 0, NULL);
}

static void assert_filename(const Chardev *chardev, const char *expected)
{
    g_autofree char *name = filename(chardev);

    g_assert_cmpstr(name, ==, expected);
}

/* Connects @client_props to the server, and checks what both are called. */
static void check_filenames(const char *server_props, const char *client_props,
                            const char *idle, const char *server_name,
                            const char *client_name)
{
    Chardev *server = make_ok(server_props);
    g_autofree char *name = chardev_filename(server);
    const char *port = strrchr(name, ':') + 1;
    g_autofree char *number = g_strndup(port, strspn(port, "0123456789"));
    g_auto(GStrv) parts = g_strsplit(client_props, "PORT", 2);
    g_autofree char *props = g_strjoinv(number, parts);
    json_auto_t *json = json_loads(props, 0, NULL);
    Object *client;

    assert_filename(server, idle);
    client = object_new(OBJECT_KIND_CHARDEV, "socket", "d", json,
                        PROP_SYNTAX_TEXT, NULL);
    g_assert_nonnull(client);
    while (!server->connected) {
        loop_iterate(true);
    }
    assert_filename(server, server_name);
    assert_filename((Chardev *)client, client_name);
    g_assert_true(object_del(client, NULL));
    while (server->connected) {
        loop_iterate(true);
    }
    assert_filename(server, idle);
    delete (server);
}

static void test_filenames(void)
{
    g_autofree char *path = g_build_filename(tmp_dir, "n", NULL);
    g_autofree char *server = g_strdup_printf(
        "{\"path\":\"%s\",\"server\":\"on\",\"wait\":\"off\"}", path);
    g_autofree char *client = g_strdup_printf("{\"path\":\"%s\"}", path);
    g_autofree char *idle =
        g_strdup_printf("disconnected:unix:%s,server=on", path);
    g_autofree char *client_name = g_strdup_printf("unix:%s", path);
    g_autofree char *name = g_strdup_printf("tapferry-test-%d", getpid());
    g_autofree char *abstract = g_strdup_printf(
        "{\"path\":\"%s\",\"abstract\":\"on\",\"server\":\"on\","
        "\"wait\":\"off\"}",
        name);
    g_autofree char *abstract_client =
        g_strdup_printf("{\"path\":\"%s\",\"abstract\":\"on\"}", name);
    g_autofree char *abstract_idle = g_strdup_printf(
        "disconnected:unix:%s,abstract=on,tight=on,server=on", name);
    g_autofree char *abstract_name =
        g_strdup_printf("unix:%s,abstract=on,tight=on", name);
    g_autofree char *abstract_server =
        g_strconcat(abstract_name, ",server=on", NULL);

    check_filenames("{\"host\":\"127.0.0.1\",\"port\":\"0\","
                    "\"server\":\"on\",\"wait\":\"off\"}",
                    "{\"host\":\"127.0.0.1\",\"port\":\"PORT\"}",
                    "disconnected:tcp:127.0.0.1:PORT,server=on",
                    "tcp:127.0.0.1:PORT,server=on <-> 127.0.0.1:PORT",
                    "tcp:127.0.0.1:PORT <-> 127.0.0.1:PORT");
    check_filenames(server, client, idle, strchr(idle, ':') + 1, client_name);
    check_filenames(abstract, abstract_client, abstract_idle, abstract_server,
                    abstract_name);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
}

static void test_filename_fd(void)
{
    int pair[2];
    g_autofree char *props = NULL;
    g_autofree char *expected = NULL;
    g_autofree char *name = NULL;
    Chardev *chardev;

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ==, 0);
    props = g_strdup_printf("{\"fd\":\"%d\"}", pair[0]);
    expected = g_strdup_printf("disconnected:fd:%d", pair[0]);
    chardev = make_ok(props);
    assert_filename(chardev, "unix:");
    close(pair[1]);
    while (chardev->connected) {
        loop_iterate(true);
    }
    name = chardev_filename(chardev);
    g_assert_cmpstr(name, ==, expected);
    delete (chardev);
}

/* chardev-add listens unless told otherwise, and does not wait. */
static void test_nested(void)
{
    static const struct {
        const char *type, *more, *suffix;
    } rows[] = {
        {"unix", "", ""},
        {"unix", ",\"abstract\":true", ",abstract=on,tight=on"},
        {"unix", ",\"abstract\":true,\"tight\":false", ",abstract=on"},
        {"abstract", "", ",abstract=on,tight=on"},
    };
    g_autofree char *path = g_build_filename(tmp_dir, "q", NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *props = g_strdup_printf(
            "{\"addr\":{\"type\":\"%s\",\"data\":{\"path\":\"%s\"%s}}}",
            rows[i].type, path, rows[i].more);
        g_autofree char *name = g_strdup_printf(
            "disconnected:unix:%s%s,server=on", path, rows[i].suffix);
        Chardev *chardev = make_ok(props);

        assert_filename(chardev, name);
        delete (chardev);
    }
}

static void test_nested_inet(void)
{
    Chardev *chardev =
        make_ok(ADDR("inet", "\"host\":\"127.0.0.1\",\"port\":\"0\"") "}");

    assert_filename(chardev, "disconnected:tcp:127.0.0.1:PORT,server=on");
    delete (chardev);
}

static void test_claim(void)
{
    static const ChardevHandlers handlers = {.opened = NULL};
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_build_filename(tmp_dir, "claim", NULL);
    g_autofree char *props = g_strdup_printf(
        "{\"path\":\"%s\",\"server\":\"on\",\"wait\":\"off\"}", path);
    Chardev *chardev;

    g_assert_null(chardev_claim("x", &handlers, NULL, &error));
    g_assert_error(error, TF_ERROR, TF_ERROR_DEVICE_NOT_FOUND);
    g_assert_cmpstr(error->message, ==, "Device 'x' not found");
    g_clear_error(&error);
    chardev = make_ok(props);
    g_assert_true(chardev_claim("c", &handlers, NULL, &error) == chardev);
    g_assert_no_error(error);
    g_assert_null(chardev_claim("c", &handlers, NULL, &error));
    g_assert_error(error, TF_ERROR, TF_ERROR_GENERIC);
    g_assert_cmpstr(error->message, ==, "Device 'c' is in use");
    g_clear_error(&error);
    g_assert_false(object_del(&chardev->object, &error));
    g_assert_error(error, TF_ERROR, TF_ERROR_GENERIC);
    g_assert_cmpstr(error->message, ==, "Chardev 'c' is busy");
    chardev_release(chardev);
    chardev_release(NULL);
    delete (chardev);
}

int main(int argc, char **argv)
{
    int status;

    g_test_init(&argc, &argv, NULL);
    tmp_dir = g_dir_make_tmp("tapferry-XXXXXX", NULL);
    g_test_add_func("/chardev-options/errors", test_errors);
    g_test_add_func("/chardev-options/filenames", test_filenames);
    g_test_add_func("/chardev-options/filename-fd", test_filename_fd);
    g_test_add_func("/chardev-options/nested", test_nested);
    g_test_add_func("/chardev-options/nested-inet", test_nested_inet);
    g_test_add_func("/chardev-options/claim", test_claim);
    status = g_test_run();
    object_destroy_all();
    g_rmdir(tmp_dir);
    g_free(tmp_dir);
    return status;
}
