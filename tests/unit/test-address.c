/* SPDX-License-Identifier: BSD-2-Clause */
/* Addresses as text. */
#include "address-fixture.h"

#include <sys/socket.h>

static void test_family(void)
{
    static const struct {
        AddressIp ip;
        int family; /* -1: an error */
    } rows[] = {
        {{0}, AF_UNSPEC},
        {{.v4_given = true, .v4 = true}, AF_INET},
        {{.v4_given = true}, AF_INET6},
        {{.v6_given = true, .v6 = true}, AF_INET6},
        {{.v6_given = true}, AF_INET},
        {{.v4_given = true, .v4 = true, .v6_given = true}, AF_INET},
        {{.v4_given = true, .v6_given = true, .v6 = true}, AF_INET6},
        {{.v4_given = true, .v4 = true, .v6_given = true, .v6 = true},
         AF_UNSPEC},
        {{.v4_given = true, .v6_given = true}, -1},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        int family = -1;

        g_assert_cmpint(address_family(&rows[i].ip, &family, &error), ==,
                        rows[i].family >= 0);
        g_assert_cmpint(family, ==, rows[i].family);
        if (rows[i].family < 0) {
            address_assert_error(&error,
                                 "Cannot disable IPv4 and IPv6 at same time");
        }
    }
}

static void test_parse(void)
{
    static const struct {
        const char *text, *host, *port, *path, *again;
    } rows[] = {
        {"tcp:127.0.0.1:4444", "127.0.0.1", "4444"},
        {"tcp::4444", "", "4444"},
        {"tcp:[::1]:4444", "::1", "4444"},
        {"tcp:[]:4444", "", "4444", NULL, "tcp::4444"},
        {"tcp:host.example:http", "host.example", "http"},
        {"unix:/run/x", NULL, NULL, "/run/x"},
        {"unix:relative:with,odd", NULL, NULL, "relative:with,odd"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_auto(Address) address = {0};
        g_autofree char *text = NULL;

        g_assert_true(address_parse(rows[i].text, &address, &error));
        g_assert_no_error(error);
        g_assert_cmpint(address.type, ==,
                        rows[i].path ? ADDRESS_UNIX : ADDRESS_INET);
        g_assert_cmpstr(address.host, ==, rows[i].host);
        g_assert_cmpstr(address.port, ==, rows[i].port);
        g_assert_cmpstr(address.path, ==, rows[i].path);
        text = address_to_string(&address);
        g_assert_cmpstr(text, ==, rows[i].again ? rows[i].again : rows[i].text);
    }
}

static void test_parse_errors(void)
{
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"", "address '' is neither 'unix:PATH' nor 'tcp:HOST:PORT'"},
        {"127.0.0.1:1",
         "address '127.0.0.1:1' is neither 'unix:PATH' nor 'tcp:HOST:PORT'"},
        {"unix:", "address 'unix:' lacks a path"},
        {"tcp:", "address 'tcp:' lacks a port"},
        {"tcp:host", "address 'tcp:host' lacks a port"},
        {"tcp:host:", "address 'tcp:host:' lacks a port"},
        {"tcp:::1:5", "address 'tcp:::1:5': put the IPv6 address in brackets"},
        {"tcp:[::1:5",
         "address 'tcp:[::1:5': put the IPv6 address in brackets"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_auto(Address) address = {0};

        g_assert_false(address_parse(rows[i].text, &address, &error));
        address_assert_error(&error, rows[i].error);
    }
}

static void test_to_string(void)
{
    Address abstract = {
        .type = ADDRESS_UNIX, .path = (char *)"name", .abstract = true};
    Address padded = abstract;
    Address inherited = {.type = ADDRESS_FD, .fd = 7};
    g_autofree char *abstract_text = address_to_string(&abstract);
    g_autofree char *padded_text = NULL;
    g_autofree char *inherited_text = address_to_string(&inherited);

    padded.padded = true;
    padded_text = address_to_string(&padded);
    g_assert_cmpstr(abstract_text, ==, "unix:name,abstract=on,tight=on");
    g_assert_cmpstr(padded_text, ==, "unix:name,abstract=on");
    g_assert_cmpstr(inherited_text, ==, "fd:7");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/address/family", test_family);
    g_test_add_func("/address/parse", test_parse);
    g_test_add_func("/address/parse-errors", test_parse_errors);
    g_test_add_func("/address/to-string", test_to_string);
    return g_test_run();
}
