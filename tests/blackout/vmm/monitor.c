/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor.h"

#include "nic.h"

#include <err.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define CLIENTS_MAX 8
#define REQUEST_MAX 65536
#define GREETING                                                               \
    "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, "        \
    "\"major\": 7}, \"package\": \"scripted\"}, \"capabilities\": [\"oob\"]}}"
#define DEVICE "/machine/peripheral/net0/virtio-backend"

typedef struct Client {
    int fd; /* 0: free */
    bool negotiated;
    size_t len;
    char request[REQUEST_MAX];
} Client;

static int listener, epoll_fd;
static bool tells_virtio, tells_migration;
static char run_state[32] = "running", migration[32];
static Client clients[CLIENTS_MAX];

static void client_send(Client *client, const char *text)
{
    if (send(client->fd, text, strlen(text), MSG_NOSIGNAL) < 0 ||
        send(client->fd, "\r\n", 2, MSG_NOSIGNAL) < 0) {
        warn("monitor");
    }
}

static void client_send_json(Client *client, json_t *message)
{
    char *text = json_dumps(message, 0);

    client_send(client, text);
    free(text);
    json_decref(message);
}

static json_t *answer_status(json_t *arguments)
{
    return json_pack("{s:s, s:b, s:b}", "status", run_state, "singlestep", 0,
                     "running", !strcmp(run_state, "running"));
}

static json_t *answer_capabilities(json_t *arguments)
{
    return json_pack("[{s:s, s:b}, {s:s, s:b}]", "capability", "xbzrle",
                     "state", 0, "capability", "events", "state",
                     (int)tells_migration);
}

static json_t *answer_migrate(json_t *arguments)
{
    return migration[0] ? json_pack("{s:s}", "status", migration)
                        : json_object();
}

static json_t *answer_network(void)
{
    char text[2048];
    size_t len = 0;

    for (unsigned i = 0; i < nic_queues(); i++) {
        len += (size_t)snprintf(
            text + len, sizeof(text) - len,
            "%s: index=%u,type=nic,model=virtio-net-pci,"
            "macaddr=52:54:00:12:34:56\r\n \\ hn0: index=%u,type=tap,"
            "ifname=%s,script=no,downscript=no\r\n",
            "net0", i, i, nic_ifname());
    }
    return json_string(text);
}

static json_t *answer_human(json_t *arguments)
{
    const char *line =
        json_string_value(json_object_get(arguments, "command-line"));
    char text[128];
    unsigned long address;
    unsigned queue;

    if (line && !strcmp(line, "info network")) {
        return answer_network();
    }
    if (!line || sscanf(line, "gpa2hva %lx", &address) != 1) {
        return json_string("unknown command\r\n");
    }
    queue = (unsigned)((address - NIC_USED_RINGS) / NIC_PAGE);
    if (address < NIC_USED_RINGS || queue >= nic_queues()) {
        return json_string("No memory is mapped at this address\r\n");
    }
    snprintf(text, sizeof(text),
             "Host virtual address for 0x%lx (pc.ram) is 0x%lx\r\n", address,
             (unsigned long)nic_ring_address(queue));
    return json_string(text);
}

static json_t *answer_devices(json_t *arguments)
{
    return json_pack("[{s:s, s:s}, {s:s, s:s}]", "name", "virtio-balloon",
                     "path", "/machine/peripheral/balloon0/virtio-backend",
                     "name", "virtio-net", "path", DEVICE);
}

static json_t *answer_property(json_t *arguments)
{
    return json_string("hn0");
}

static json_t *answer_device(json_t *arguments)
{
    /* A pair for each, and one for control. */
    return json_pack("{s:s, s:s, s:i, s:{s:[s], s:[s]}}", "name", "virtio-net",
                     "path", DEVICE, "num-vqs", (int)(2 * nic_queues() + 1),
                     "guest-features", "transports",
                     "VIRTIO_F_VERSION_1: Device compliant", "dev-features",
                     "VIRTIO_NET_F_MRG_RXBUF: Driver can merge receive "
                     "buffers");
}

/* Virtqueues 0, 2, 4 … are receive queues (virtio 1.2, 5.1.2). */
static json_t *answer_queue(json_t *arguments)
{
    json_int_t number = json_integer_value(json_object_get(arguments, "queue"));
    unsigned queue = (unsigned)number / 2;

    if (number % 2 || queue >= nic_queues()) {
        return json_pack("{s:s, s:i}", "name", "virtio-net", "vring-used", 0);
    }
    return json_pack("{s:s, s:I, s:i, s:I, s:i}", "name", "virtio-net",
                     "queue-index", number, "vring-num", NIC_RING_SIZE,
                     "vring-used",
                     (json_int_t)(NIC_USED_RINGS + queue * NIC_PAGE),
                     "used-idx", (int)nic_used(queue));
}

static const struct Command {
    const char *name;
    json_t *(*answer)(json_t *arguments);
    bool virtio;
} commands[] = {
    {"query-status", answer_status, false},
    {"query-migrate-capabilities", answer_capabilities, false},
    {"query-migrate", answer_migrate, false},
    {"human-monitor-command", answer_human, false},
    {"qom-get", answer_property, false},
    {"x-query-virtio", answer_devices, true},
    {"x-query-virtio-status", answer_device, true},
    {"x-query-virtio-queue-status", answer_queue, true},
};

static json_t *execute(Client *client, json_t *request)
{
    const char *name = json_string_value(json_object_get(request, "execute"));

    if (name && !strcmp(name, "qmp_capabilities")) {
        client->negotiated = true;
        return json_pack("{s:{}}", "return");
    }
    for (size_t i = 0; name && client->negotiated &&
                       i < sizeof(commands) / sizeof(commands[0]);
         i++) {
        const struct Command *command = &commands[i];

        if (!strcmp(name, command->name) &&
            (!command->virtio || tells_virtio)) {
            return json_pack(
                "{s:o}", "return",
                command->answer(json_object_get(request, "arguments")));
        }
    }
    return json_pack("{s:{s:s, s:s}}", "error", "class", "CommandNotFound",
                     "desc", "The command has not been found");
}

static void client_line(Client *client, const char *line)
{
    json_t *request = json_loads(line, 0, NULL), *reply;

    if (!request) {
        warnx("monitor: not JSON: %s", line);
        return;
    }
    reply = execute(client, request);
    if (json_object_get(request, "id")) {
        json_object_set(reply, "id", json_object_get(request, "id"));
    }
    client_send_json(client, reply);
    json_decref(request);
}

void monitor_readable(int fd)
{
    for (unsigned i = 0; i < CLIENTS_MAX; i++) {
        Client *client = &clients[i];
        ssize_t n;
        char *end;

        if (client->fd != fd) {
            continue;
        }
        n = recv(fd, client->request + client->len,
                 REQUEST_MAX - 1 - client->len, 0);
        if (n <= 0) {
            close(fd);
            *client = (Client){0};
            return;
        }
        client->len += (size_t)n;
        client->request[client->len] = '\0';
        while ((end = strchr(client->request, '\n'))) {
            *end = '\0';
            client_line(client, client->request);
            client->len -= (size_t)(end + 1 - client->request);
            memmove(client->request, end + 1, client->len + 1);
        }
    }
}

void monitor_accept(void)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};

    for (unsigned i = 0; fd >= 0 && i < CLIENTS_MAX; i++) {
        if (clients[i].fd == 0) {
            clients[i].fd = fd;
            event.data.u32 = (uint32_t)fd;
            event.data.u64 |= 1ull << 32; /* not a queue */
            epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
            client_send(&clients[i], GREETING);
            return;
        }
    }
    close(fd);
}

void monitor_set_status(const char *status)
{
    snprintf(run_state, sizeof(run_state), "%s", status);
}

void monitor_emit(const char *event, const char *data)
{
    json_t *parsed = data ? json_loads(data, 0, NULL) : NULL, *message;
    struct timeval now;
    char *text;

    if (!strcmp(event, "MIGRATION") && parsed) {
        snprintf(migration, sizeof(migration), "%s",
                 json_string_value(json_object_get(parsed, "status")));
    }
    gettimeofday(&now, NULL);
    message =
        json_pack("{s:{s:I, s:I}, s:s, s:o*}", "timestamp", "seconds",
                  (json_int_t)now.tv_sec, "microseconds",
                  (json_int_t)now.tv_usec, "event", event, "data", parsed);
    text = json_dumps(message, 0);
    for (unsigned i = 0; i < CLIENTS_MAX; i++) {
        if (clients[i].negotiated) {
            client_send(&clients[i], text);
        }
    }
    free(text);
    json_decref(message);
}

int monitor_open(const char *path, int epoll, bool virtio, bool events)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    tells_virtio = virtio;
    tells_migration = events;
    epoll_fd = epoll;
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 ||
        bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(listener, CLIENTS_MAX) < 0) {
        err(1, "%s", path);
    }
    return listener;
}
