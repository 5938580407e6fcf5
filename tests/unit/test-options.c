/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line. The daemon's own files are in no library, so they are
 * taken in here. */
#include "daemon/help.c"
#include "daemon/options.c"

/* Parses the words up to NULL. Returns the error's words, or NULL. */
static char *parse(Options *options, const char *const *words)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_autoptr(GError) error = NULL;
    bool ok;

    g_ptr_array_add(argv, (void *)"tapferryd");
    for (; *words; words++) {
        g_ptr_array_add(argv, (void *)*words);
    }
    g_ptr_array_add(argv, NULL);
    options_init(options);
    ok = options_parse(options, (int)argv->len - 1, (char **)argv->pdata,
                       &error);
    g_assert_cmpint(ok, ==, error == NULL);
    return error ? g_strdup(error->message) : NULL;
}

#define PARSE(options, ...)                                                    \
    parse(options, (const char *const[]){__VA_ARGS__, NULL})

static const char *arg(const OptionItem *item, const char *key)
{
    return json_string_value(json_object_get(item->args, key));
}

static void test_kinds(void)
{
    Options options;
    const OptionItem *item;

    g_assert_null(PARSE(&options, "-object", "filter-redirector,id=r0,netdev=n",
                        "--netdev", "tap,id=n,ifname=t", "-chardev",
                        "socket,id=c,path=/a,,b,server=on,wait=off", "-object",
                        "vm-qmp,id=v,addr=unix:/x", "--object",
                        "{\"qom-type\":\"filter-redirector\",\"id\":\"r1\"}"));
    g_assert_cmpuint(options.items[OPTION_STAGE_FIRST]->len, ==, 1);
    g_assert_cmpuint(options.items[OPTION_STAGE_CHARDEVS]->len, ==, 1);
    g_assert_cmpuint(options.items[OPTION_STAGE_NETDEVS]->len, ==, 1);
    g_assert_cmpuint(options.items[OPTION_STAGE_BEHIND_NETDEVS]->len, ==, 2);
    item = options.items[OPTION_STAGE_CHARDEVS]->pdata[0];
    g_assert_cmpstr(arg(item, "backend"), ==, "socket");
    g_assert_cmpstr(arg(item, "path"), ==, "/a,b");
    g_assert_cmpstr(arg(item, "wait"), ==, "off");
    g_assert_cmpint(item->syntax, ==, PROP_SYNTAX_TEXT);
    item = options.items[OPTION_STAGE_BEHIND_NETDEVS]->pdata[1];
    g_assert_cmpstr(arg(item, "id"), ==, "r1");
    g_assert_cmpint(item->syntax, ==, PROP_SYNTAX_JSON);
    options_clear(&options);
}

static void test_values(void)
{
    static const struct {
        const char *text, *json;
    } cases[] = {
        {"", "{}"},
        {"a", "{\"type\":\"a\"}"},
        {"a,", "{\"type\":\"a\"}"},
        {"a=1", "{\"a\":\"1\"}"},
        {"a,b=1,b=2", "{\"type\":\"a\",\"b\":\"2\"}"},
        {"a,,b,c=,,", "{\"type\":\"a,b\",\"c\":\",\"}"},
        {"a,b.c=1=2", "{\"type\":\"a\",\"b.c\":\"1=2\"}"},
        {"a,server,nowait",
         "{\"type\":\"a\",\"server\":\"on\",\"wait\":\"off\"}"},
        {"{\"a\":[1]}", "{\"a\":[1]}"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        PropertySyntax syntax;
        json_auto_t *value = keyval_parse(cases[i].text, "type", &syntax, NULL);
        char *text = json_dumps(value, JSON_COMPACT);

        g_assert_cmpstr(text, ==, cases[i].json);
        free(text);
    }
}

static void test_errors(void)
{
    static const struct {
        const char *words[3];
        const char *error;
    } cases[] = {
        {{"-bogus"}, "-bogus: invalid option"},
        {{"stray"}, "stray: invalid option"},
        {{""}, ": invalid option"},
        {{"-"}, "-: invalid option"},
        {{"-object"}, "-object: requires an argument"},
        {{"--qmp"}, "--qmp: requires an argument"},
        {{"-object", "a,=5"}, "-object a,=5: Invalid parameter ''"},
        {{"-object", "{\"a\":1,\"a\":2}"}, "-object {\"a\":1,\"a\":2}: *"},
        {{"-object", "{\"a\""}, "-object {\"a\": JSON parse error, *"},
        {{"-object", "{} x"}, "-object {} x: JSON parse error, *"},
        {{"-qmp", "foo"}, "-qmp foo: address 'foo' is neither *"},
        {{"-qmp", "unix:/a,bogus=1"},
         "-qmp unix:/a,bogus=1: Invalid parameter 'bogus'"},
        {{"-qmp", "unix:/a,server=maybe"},
         "-qmp unix:/a,server=maybe: Parameter 'server' expects 'on' or "
         "'off'"},
        {{"-monitor", ""}, "-monitor : Expecting *"},
        {{"-mon", "mode=control"},
         "-mon mode=control: Parameter 'chardev' is missing"},
        {{"-mon", "c,mode=zz"},
         "-mon c,mode=zz: Parameter 'mode' does not accept value 'zz'"},
        {{"-mon", "c,pretty=zz"},
         "-mon c,pretty=zz: Parameter 'pretty' expects 'on' or 'off'"},
        {{"-mon", "c,x=1"}, "-mon c,x=1: Invalid parameter 'x'"},
        {{"-pidfile", ""}, "-pidfile : expects a file's name"},
        {{"-sandbox", "maybe"}, "-sandbox maybe: expects 'on' or 'off'"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Options options;
        g_autofree char *error = parse(&options, cases[i].words);

        g_assert_nonnull(error);
        if (!g_pattern_match_simple(cases[i].error, error)) {
            g_assert_cmpstr(error, ==, cases[i].error);
        }
        g_assert_null(strchr(error, '\n'));
        options_clear(&options);
    }
}

static void test_monitors(void)
{
    Options options;
    const OptionMonitor *monitor;

    g_assert_null(PARSE(&options, "-qmp", "unix:/a,server=on,wait=off",
                        "-monitor", "stdio", "-mon",
                        "chardev=c,mode=control,pretty=on"));
    g_assert_cmpuint(options.monitors->len, ==, 3);
    monitor = options.monitors->pdata[0];
    g_assert_true(monitor->mode.control);
    g_assert_cmpstr(monitor->device, ==, "unix:/a,server=on,wait=off");
    monitor = options.monitors->pdata[1];
    g_assert_false(monitor->mode.control);
    monitor = options.monitors->pdata[2];
    g_assert_true(monitor->mode.control && monitor->mode.pretty);
    g_assert_cmpstr(monitor->device, ==, "chardev:c");
    options_clear(&options);
}

static void test_flags(void)
{
    Options options;
    g_autofree char *error = NULL;

    g_assert_null(PARSE(&options, "-S", "--daemonize", "-pidfile", "p", "-D",
                        "l", "-readconfig", "r"));
    g_assert_true(options.stopped && options.daemonize);
    g_assert_cmpstr(options.pidfile, ==, "p");
    g_assert_cmpstr(options.logfile, ==, "l");
    g_assert_cmpstr(options.readconfig, ==, "r");
    options_clear(&options);

    error = PARSE(&options, "-qmp", "stdio", "-daemonize");
    g_assert_cmpstr(error, ==, "-qmp stdio: cannot use stdio with -daemonize");
    options_clear(&options);
}

static void test_help(void)
{
    static const struct {
        const char *words[3];
        const char *part;
    } cases[] = {
        {{"-help"}, "-readconfig"},
        {{"--help"}, "usage: tapferryd"},
        {{"-version"}, "tapferryd "},
        {{"-object", "help"}, "filter-redirector"},
        {{"-object", "filter-redirector,help"}, "  outdev=<string>"},
        {{"-netdev", "help"}, "tap"},
        {{"-netdev", "tap,help"}, "  ifname=<string>"},
        {{"-chardev", "help"}, "socket"},
        {{"-chardev", "socket,help"}, "  path=<string>"},
        {{"-dump-schema"}, "\"filter-redirector\""},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Options options;

        g_assert_null(parse(&options, cases[i].words));
        g_assert_nonnull(options.print);
        g_assert_nonnull(strstr(options.print, cases[i].part));
        options_clear(&options);
    }
}

static void test_schema(void)
{
    g_autofree char *text = help_schema();
    json_auto_t *schema = json_loads(text, 0, NULL);
    json_t *filters, *type, *row;
    size_t i, j;

    g_assert_nonnull(schema);
    filters = json_object_get(json_object_get(schema, "types"), "objects");
    json_array_foreach (filters, i, type) {
        json_array_foreach (json_object_get(type, "properties"), j, row) {
            /* Every property says what it is for. */
            g_test_message("%s.%s",
                           json_string_value(json_object_get(type, "name")),
                           json_string_value(json_object_get(row, "name")));
            g_assert_true(json_is_string(json_object_get(row, "doc")));
        }
    }
    g_assert_cmpuint(json_array_size(json_object_get(schema, "commands")), >,
                     20);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/options/kinds", test_kinds);
    g_test_add_func("/options/values", test_values);
    g_test_add_func("/options/errors", test_errors);
    g_test_add_func("/options/monitors", test_monitors);
    g_test_add_func("/options/flags", test_flags);
    g_test_add_func("/options/help", test_help);
    g_test_add_func("/options/schema", test_schema);
    return g_test_run();
}
