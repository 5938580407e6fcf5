/* SPDX-License-Identifier: BSD-2-Clause */
/* QMP and human monitor sessions: bytes in, bytes out. */
#include "base/event.h"
#include "monitor/hmp.h"
#include "monitor/qmp-session.h"
#include "monitor/run-state.h"

#include <string.h>

typedef struct Client {
    QmpSession *session;
    GString *out;
} Client;

/* A QMP session appends whole lines. */
static void check_lines(void *opaque)
{
    g_assert_true(g_str_has_suffix(((GString *)opaque)->str, "\r\n"));
}

static void collect(void *opaque, const char *data, size_t size)
{
    g_string_append_len(opaque, data, (gssize)size);
}

static void client_init(Client *client)
{
    client->out = g_string_new(NULL);
    client->session =
        qmp_session_new(false, client->out, check_lines, client->out);
}

static void client_clear(Client *client)
{
    qmp_session_free(client->session);
    g_string_free(client->out, TRUE);
}

/* Sends @request and returns what came back, as one line; owned. */
static char *ask(Client *client, const char *request)
{
    g_string_truncate(client->out, 0);
    qmp_session_feed(client->session, request, strlen(request));
    if (client->out->len > 0) {
        g_assert_true(g_str_has_suffix(client->out->str, "\r\n"));
        g_string_truncate(client->out, client->out->len - 2);
    }
    return g_strdup(client->out->str);
}

static void negotiate(Client *client)
{
    g_autofree char *reply = ask(client, "{\"execute\":\"qmp_capabilities\"}");

    g_assert_cmpstr(reply, ==, "{\"return\": {}}");
}

#define GENERIC(desc)                                                          \
    "{\"error\": {\"class\": \"GenericError\", \"desc\": \"" desc "\"}}"
#define NOT_FOUND(desc)                                                        \
    "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"" desc "\"}}"
#define STATUS                                                                 \
    "{\"return\": {\"status\": \"running\", \"singlestep\": false, "           \
    "\"running\": true}"

static void test_greeting(void)
{
    Client client;
    json_auto_t *greeting = NULL;
    const char *capability = NULL;

    client_init(&client);
    g_assert_true(g_str_has_suffix(client.out->str, "\r\n"));
    greeting = json_loads(client.out->str, 0, NULL);
    g_assert_cmpint(json_unpack(greeting, "{s:{s:{s:{s:i,s:i,s:i},s:s},s:[s]}}",
                                "QMP", "version", "qemu", "major", &(int){0},
                                "minor", &(int){0}, "micro", &(int){0},
                                "package", &(const char *){NULL},
                                "capabilities", &capability),
                    ==, 0);
    g_assert_cmpstr(capability, ==, "oob");
    client_clear(&client);
}

static void test_negotiation(void)
{
    static const struct {
        const char *request, *reply;
    } cases[] = {
        {"{\"execute\":\"query-status\"}",
         NOT_FOUND("Expecting capabilities negotiation with "
                   "'qmp_capabilities'")},
        {"{\"execute\":\"qmp_capabilities\",\"arguments\":{\"x\":1}}",
         GENERIC("Parameter 'x' is unexpected")},
        {"{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":"
         "[\"x\"]}}",
         GENERIC("Parameter 'null' does not accept value 'x'")},
        {"{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":5}}",
         GENERIC("Invalid parameter type for 'enable', expected: array")},
        {"{\"exec-oob\":\"query-status\"}",
         GENERIC("QMP input member 'exec-oob' is unexpected")},
        {"{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":"
         "[\"oob\"]}}",
         "{\"return\": {}}"},
        {"{\"execute\":\"qmp_capabilities\"}",
         NOT_FOUND("Capabilities negotiation is already complete, command "
                   "ignored")},
        {"{\"exec-oob\":\"query-status\"}",
         GENERIC("The command query-status does not support OOB")},
        {"{\"exec-oob\":\"x\",\"execute\":\"y\"}",
         GENERIC("QMP input member 'execute' clashes with 'exec-oob'")},
    };
    Client client;

    client_init(&client);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *reply = ask(&client, cases[i].request);

        g_assert_cmpstr(reply, ==, cases[i].reply);
    }
    client_clear(&client);
}

static void test_requests(void)
{
    static const struct {
        const char *request, *reply;
    } cases[] = {
        {"{\"execute\":\"query-status\"}", STATUS "}"},
        {"{'execute':'query-status'}", STATUS "}"},
        {"{\"execute\":\"query-status\",\"id\":7}", STATUS ", \"id\": 7}"},
        {"{\"execute\":\"query-status\",\"id\":null}",
         STATUS ", \"id\": null}"},
        {"{\"execute\":\"query-status\",\"id\":{\"a\":[1,\"\xc3\xa9\"]}}",
         STATUS ", \"id\": {\"a\": [1, \"\\u00E9\"]}}"},
        {"{\"execute\":\"query-status\",\"id\":\"\\u0000\"}",
         STATUS ", \"id\": \"\\u0000\"}"},
        {"{\"execute\":\"query-status\",\"arguments\":{}}", STATUS "}"},
        {"{\"execute\":\"query-status\",\"arguments\":{\"a\":1}}",
         GENERIC("Parameter 'a' is unexpected")},
        {"{\"execute\":\"query-status\",\"arguments\":[]}",
         GENERIC("QMP input member 'arguments' must be an object")},
        {"{\"execute\":\"query-status\",\"bogus\":1}",
         GENERIC("QMP input member 'bogus' is unexpected")},
        {"{\"execute\":5,\"id\":4}",
         "{\"id\": 4, \"error\": {\"class\": \"GenericError\", \"desc\": "
         "\"QMP input member 'execute' must be a string\"}}"},
        {"{\"id\":4}", "{\"id\": 4, \"error\": {\"class\": \"GenericError\", "
                       "\"desc\": \"QMP input lacks member 'execute'\"}}"},
        {"5 ", GENERIC("QMP input must be a JSON object")},
        {"{\"execute\":\"nosuch\"}",
         NOT_FOUND("The command nosuch has not been found")},
        {"{\"execute\":\"\"}", NOT_FOUND("The command  has not been found")},
        {"{,}", GENERIC("JSON parse error, expecting value")},
        {"{\"execute\":\"object-add\"}",
         GENERIC("Parameter 'qom-type' is missing")},
        {"{\"execute\":\"object-del\",\"arguments\":{\"id\":5}}",
         GENERIC("Invalid parameter type for 'id', expected: string")},
        {"{\"execute\":\"object-del\",\"arguments\":{\"id\":\"zz\"}}",
         GENERIC("object 'zz' not found")},
        {"{\"execute\":\"qom-list\",\"arguments\":{\"path\":\"\"}}",
         GENERIC("Path '' is ambiguous")},
        {"{\"execute\":\"human-monitor-command\",\"arguments\":"
         "{\"command-line\":\"info status\"}}",
         "{\"return\": \"VM status: running\\r\\n\"}"},
    };
    Client client;

    client_init(&client);
    negotiate(&client);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *reply = ask(&client, cases[i].request);

        g_assert_cmpstr(reply, ==, cases[i].reply);
    }
    client_clear(&client);
}

/* Several in one packet, and one in several. */
static void test_packets(void)
{
    static const char request[] = "{\"execute\":\"query-status\",\"id\":1}";
    Client client;
    g_autofree char *two = NULL;

    client_init(&client);
    negotiate(&client);
    two = ask(&client, "{\"execute\":\"query-status\",\"id\":1}"
                       "{\"execute\":\"query-status\",\"id\":2}");
    g_assert_cmpstr(two, ==, STATUS ", \"id\": 1}\r\n" STATUS ", \"id\": 2}");
    for (size_t i = 0; i < strlen(request); i++) {
        g_autofree char *reply = ask(&client, (char[]){request[i], '\0'});

        g_assert_cmpstr(reply, ==,
                        i + 1 < strlen(request) ? "" : STATUS ", \"id\": 1}");
    }
    client_clear(&client);
}

static Client *listener;

static void sink(const char *name, json_t *data)
{
    json_auto_t *event = qmp_event_new(name, data);

    qmp_session_event(listener->session, event);
}

static void test_events(void)
{
    Client client;
    json_auto_t *event = NULL;
    json_int_t seconds = 0, microseconds = -1;
    const char *name = NULL;

    client_init(&client);
    listener = &client;
    event_set_sink(sink);
    g_string_truncate(client.out, 0);
    run_state_set(false);
    /* Not before the negotiation. */
    g_assert_cmpstr(client.out->str, ==, "");
    negotiate(&client);
    g_string_truncate(client.out, 0);
    run_state_set(false);
    g_assert_cmpstr(client.out->str, ==, "");
    run_state_set(true);
    event = json_loads(client.out->str, 0, NULL);
    g_assert_cmpint(json_unpack(event, "{s:{s:I,s:I},s:s!}", "timestamp",
                                "seconds", &seconds, "microseconds",
                                &microseconds, "event", &name),
                    ==, 0);
    g_assert_cmpstr(name, ==, "RESUME");
    g_assert_cmpint(seconds, >, 0);
    g_assert_cmpint(microseconds, <, 1000000);
    event_set_sink(NULL);
    client_clear(&client);
}

static void test_pretty(void)
{
    GString *out = g_string_new(NULL);
    QmpSession *session = qmp_session_new(true, out, check_lines, out);

    g_assert_nonnull(strstr(out->str, "\n    \"QMP\": {\n"));
    qmp_session_free(session);
    g_string_free(out, TRUE);
}

/* Rubbish of any kind is answered, and the session goes on. */
static void test_hostile(void)
{
    Client client;
    g_autofree char *rubbish = g_malloc(65536);
    g_autofree char *reply = NULL;

    client_init(&client);
    negotiate(&client);
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 65536; i++) {
            rubbish[i] = (char)g_test_rand_int_range(0, 256);
        }
        qmp_session_feed(client.session, rubbish, 65536);
        g_string_truncate(client.out, 0);
    }
    /* What is open is closed, as a client that lost its way does it. */
    qmp_session_feed(client.session, "\xff\n", 2);
    reply = ask(&client, "{\"execute\":\"query-status\"}");
    g_assert_cmpstr(reply, ==, STATUS "}");
    client_clear(&client);
}

static void test_hmp(void)
{
    GString *out = g_string_new(NULL);
    HmpSession *session = hmp_session_new(false, collect, out);
    g_autofree char *flood = g_strnfill(100000, 'x');

    g_assert_true(g_str_has_suffix(out->str, "\r\n(tapferry) "));
    g_string_truncate(out, 0);
    hmp_session_feed(session, "info st", 7);
    g_assert_cmpstr(out->str, ==, "");
    hmp_session_feed(session, "atus\r\nfoo\n", 10);
    g_assert_cmpstr(out->str, ==,
                    "VM status: running\r\n(tapferry) "
                    "unknown command: 'foo'\r\n(tapferry) ");
    g_string_truncate(out, 0);
    hmp_session_feed(session, flood, 100000);
    hmp_session_feed(session, "\n\n", 2);
    g_assert_cmpstr(out->str, ==,
                    "Error: the line is too long\r\n(tapferry) (tapferry) ");
    hmp_session_free(session);
    g_string_free(out, TRUE);
}

static void test_hmp_words(void)
{
    static const struct {
        const char *line, *output;
    } cases[] = {
        {"", ""},
        {"   ", ""},
        {"object_del", "object_del: string expected\r\n"
                       "Try \"help object_del\" for more information\r\n"},
        {"object_del a b",
         "object_del: extraneous characters at the end of line\r\n"
         "Try \"help object_del\" for more information\r\n"},
        {"object_del \"z z\"", "Error: object 'z z' not found\r\n"},
        {"object_del \"z", "unterminated string\r\n"
                           "object_del: string expected\r\n"
                           "Try \"help object_del\" for more information\r\n"},
        {"stop x", "stop|s: extraneous characters at the end of line\r\n"
                   "Try \"help stop\" for more information\r\n"},
        {"help stop", "stop|s  -- stop\r\n"},
        {"help info status", "info status  -- show the run state\r\n"},
        {"info foo", "unknown command: 'info foo'\r\n"},
        {"object_add foo,id=a",
         "Error: Parameter 'qom-type' does not accept value 'foo'\r\n"},
        {"object_add {'a'", "Error: JSON parse error, *"},
        {"qom-get zz a", "Error: Device 'zz' not found\r\n"},
        {"qom-set / type x y",
         "Error: Property 'container.type' is not writable\r\n"},
        {"netdev_del zz", "Error: Device 'zz' not found\r\n"},
        {"chardev-remove zz", "Error: Chardev 'zz' not found\r\n"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *out = hmp_execute(cases[i].line);

        g_test_message("%s", cases[i].line);
        if (g_str_has_suffix(cases[i].output, "*")) {
            g_assert_true(g_pattern_match_simple(cases[i].output, out));
        } else {
            g_assert_cmpstr(out, ==, cases[i].output);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qmp/greeting", test_greeting);
    g_test_add_func("/qmp/negotiation", test_negotiation);
    g_test_add_func("/qmp/requests", test_requests);
    g_test_add_func("/qmp/packets", test_packets);
    g_test_add_func("/qmp/events", test_events);
    g_test_add_func("/qmp/pretty", test_pretty);
    g_test_add_func("/qmp/hostile", test_hostile);
    g_test_add_func("/hmp/session", test_hmp);
    g_test_add_func("/hmp/words", test_hmp_words);
    return g_test_run();
}
