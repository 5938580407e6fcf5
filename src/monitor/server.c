/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/server.h"

#include "base/address.h"
#include "base/error.h"
#include "base/event.h"
#include "base/log.h"
#include "base/loop.h"
#include "monitor/qmp-session.h"
#include "monitor/run-state.h"
#include "object/keyval.h"
#include "object/object.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

/* Accepted at most per wakeup: the packets' turn comes in between. */
#define SERVER_ACCEPT_BATCH 32
/* Without descriptors left: when to look again. */
#define SERVER_PAUSE_US 100000
#define SERVER_MAX_CLIENTS 4096

typedef struct Server {
    Address address;
    MonitorMode mode;
    int fd;
    LoopWatch watch;
    LoopTimer pause; /* not accepting for a moment */
} Server;

/* What stands behind -qmp and -monitor. */
typedef struct MonitorDevice {
    char *device;
    bool server;
    bool wait;
} MonitorDevice;

static const Property monitor_device_rows[] = {
    {.name = "device", PROP_FIELD_STRING(MonitorDevice, device)},
    {.name = "server", PROP_FIELD_BOOL(MonitorDevice, server), .def = "off"},
    {.name = "wait", PROP_FIELD_BOOL(MonitorDevice, wait), .def = "on"},
    PROP_END,
};

static GPtrArray *servers;

/* Half of the descriptors stay for the packets' way. */
static unsigned server_max_clients(void)
{
    struct rlimit limit = {0};

    getrlimit(RLIMIT_NOFILE, &limit);
    return (unsigned)MIN(limit.rlim_cur / 2, (rlim_t)SERVER_MAX_CLIENTS);
}

static void server_resume(void *opaque)
{
    Server *server = opaque;

    loop_watch_modify(&server->watch, EPOLLIN);
}

/* An accept that fails leaves the socket readable: don't spin on it. */
static void server_pause(Server *server, int errnum)
{
    static LogLimit limit;

    if (log_limit_pass(&limit)) {
        log_warning("monitor", "can not accept a client: %s",
                    g_strerror(errnum));
    }
    loop_watch_modify(&server->watch, 0);
    loop_timer_set(&server->pause, SERVER_PAUSE_US);
}

static void server_ready(void *opaque, uint32_t events)
{
    static LogLimit limit;
    Server *server = opaque;

    for (int i = 0; i < SERVER_ACCEPT_BATCH; i++) {
        int fd;

        errno = 0;
        fd = address_accept(server->fd);
        if (fd < 0) {
            if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
                server_pause(server, errno);
            }
            return;
        }
        if (connection_count() < server_max_clients()) {
            connection_open_socket(fd, server->mode);
        } else {
            close(fd);
            if (log_limit_pass(&limit)) {
                log_warning("monitor", "too many clients: one was refused");
            }
        }
    }
}

static void server_free(void *opaque)
{
    Server *server = opaque;

    loop_watch_remove(&server->watch);
    loop_timer_close(&server->pause);
    address_listen_close(&server->address, server->fd);
    address_clear(&server->address);
    g_free(server);
}

/* Takes @address. */
static bool server_listen(Address *address, MonitorMode mode, bool wait,
                          GError **errp)
{
    unsigned before = connection_count();
    int fd = address_listen(address, errp);
    Server *server;

    if (fd < 0) {
        address_clear(address);
        return false;
    }
    server = g_new0(Server, 1);
    server->address = *address;
    server->mode = mode;
    server->fd = fd;
    if (!servers) {
        servers = g_ptr_array_new_with_free_func(server_free);
    }
    g_ptr_array_add(servers, server);
    loop_timer_open(&server->pause, server_resume, server);
    loop_watch_add(&server->watch, fd, EPOLLIN, server_ready, server);
    if (wait) {
        g_autofree char *name = address_to_string(&server->address);

        log_info("monitor", "waiting for a client on %s", name);
        while (connection_count() == before && !run_state_shutdown_reason()) {
            loop_iterate(true);
        }
    }
    return true;
}

static bool server_connect(const Address *address, MonitorMode mode,
                           GError **errp)
{
    int fd = address_connect_sync(address, ADDRESS_CONNECT_TIMEOUT_MS, errp);

    if (fd >= 0) {
        connection_open_socket(fd, mode);
    }
    return fd >= 0;
}

static void monitor_device_clear(MonitorDevice *device)
{
    g_clear_pointer(&device->device, g_free);
}

/* Takes "DEVICE,server=on,wait=off" apart. */
static bool monitor_device_parse(const char *text, MonitorDevice *device,
                                 GError **errp)
{
    PropertySyntax syntax;
    json_auto_t *props = keyval_parse(text, "device", &syntax, errp);
    const char *key;

    if (!props) {
        return false;
    }
    for (const Property *row = monitor_device_rows; row->name; row++) {
        json_t *value = json_object_get(props, row->name);

        property_set_default(device, row);
        if (value && !property_set(device, row, value, syntax, errp)) {
            return false;
        }
        json_object_del(props, row->name);
    }
    key = json_object_iter_key(json_object_iter(props));
    if (key) {
        return tf_error_set(errp, "Invalid parameter '%s'", key);
    }
    if (!device->device) {
        tf_error_set(errp, "Expecting stdio, unix:PATH, tcp:HOST:PORT "
                           "or chardev:ID");
    }
    return device->device != NULL;
}

static bool monitor_is_word(const char *device)
{
    return strcmp(device, "stdio") == 0 || strcmp(device, "none") == 0 ||
           g_str_has_prefix(device, "chardev:");
}

bool monitor_check(const char *text, GError **errp)
{
    MonitorDevice device = {0};
    Address address = {0};
    bool ok = monitor_device_parse(text, &device, errp);

    if (ok && !monitor_is_word(device.device)) {
        ok = address_parse(device.device, &address, errp);
        address_clear(&address);
    }
    monitor_device_clear(&device);
    return ok;
}

/* The chardev that QEMU makes for it, too, under the same name; @number is
 * the monitor's among those without a chardev of their own. */
static bool monitor_open_stdio(unsigned number, MonitorMode mode, GError **errp)
{
    g_autofree char *id = g_strdup_printf("compat_monitor%u", number);

    return object_new(OBJECT_KIND_CHARDEV, "stdio", id, NULL, PROP_SYNTAX_TEXT,
                      errp) &&
           connection_open_chardev(id, mode, errp);
}

static bool monitor_open_socket(const MonitorDevice *device, MonitorMode mode,
                                GError **errp)
{
    Address address;
    bool ok;

    if (!address_parse(device->device, &address, errp)) {
        return false;
    }
    if (device->server) {
        return server_listen(&address, mode, device->wait, errp);
    }
    ok = server_connect(&address, mode, errp);
    address_clear(&address);
    return ok;
}

bool monitor_open(const char *text, MonitorMode mode, GError **errp)
{
    static unsigned number;
    MonitorDevice device = {0};
    bool ok = monitor_device_parse(text, &device, errp);

    if (ok && g_str_has_prefix(device.device, "chardev:")) {
        ok = connection_open_chardev(device.device + strlen("chardev:"), mode,
                                     errp);
    } else if (ok && g_strcmp0(device.device, "stdio") == 0) {
        ok = monitor_open_stdio(number++, mode, errp);
    } else if (ok && g_strcmp0(device.device, "none") != 0) {
        number++;
        ok = monitor_open_socket(&device, mode, errp);
    }
    monitor_device_clear(&device);
    return ok;
}

static void monitor_event(const char *name, json_t *data)
{
    json_auto_t *event = qmp_event_new(name, data);

    connection_broadcast(event);
}

void monitor_init(void)
{
    event_set_sink(monitor_event);
}

void monitor_close_all(void)
{
    event_set_sink(NULL);
    g_clear_pointer(&servers, g_ptr_array_unref);
    connection_close_all();
}
