/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A scripted VMM: does to its TAP and to its monitor what it is told, frame by
 * frame as a real one does around a stop.
 *
 * blackout-vmm CONTROL-FD IFNAME QUEUES VNET OFFLOADS user|vhost MONITOR
 *              RECORD STATUS VIRTIO EVENTS
 *
 * Each request is one datagram of text on the control socket, answered with
 * "ok [NUMBER]" or "error TEXT":
 *
 *   run 0|1             read the TAP or not; says nothing to anybody
 *   rate N              frames a second that the guest takes; 0: no limit
 *   stop DESTROY SWALLOW LATER
 *                       the machine stops: destroy, swallow, say STOP, and
 *                       swallow LATER more as they come
 *   resume              the machine runs: say RESUME, read
 *   incoming N          while it waits for a migration, swallow N as they come
 *   status NAME         what query-status tells
 *   emit EVENT [JSON]   an event
 *   reset               the guest was reset
 *   quit                say SHUTDOWN and end
 */
#include "monitor.h"
#include "nic.h"
#include "record.h"

#include <err.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST_MAX 4096
#define PRIORITY -10

enum { WATCH_CONTROL = 100, WATCH_MONITOR, WATCH_TIMER };

static int control;
static bool waits; /* for a migration to come */

static void reply(unsigned number)
{
    char text[32];
    int len = snprintf(text, sizeof(text), "ok %u", number);

    if (send(control, text, (size_t)len, MSG_NOSIGNAL) < 0) {
        exit(0);
    }
}

static void do_stop(unsigned destroy, unsigned swallow, unsigned later)
{
    nic_set_running(false);
    nic_destroy(destroy);
    nic_swallow(swallow);
    monitor_set_status("paused");
    nic_swallow_later(later);
    monitor_emit("STOP", NULL);
}

static void do_resume(void)
{
    if (waits) {
        nic_forget_kept();
        waits = false;
    }
    monitor_set_status("running");
    nic_set_running(true);
    monitor_emit("RESUME", NULL);
}

static void execute(char *request)
{
    char *name = strtok(request, " "), *rest = strtok(NULL, "");
    unsigned a = 0, b = 0, c = 0;

    if (rest && strcmp(name, "emit") && strcmp(name, "status")) {
        sscanf(rest, "%u %u %u", &a, &b, &c);
    }
    if (!strcmp(name, "run")) {
        nic_set_running(a);
    } else if (!strcmp(name, "rate")) {
        nic_set_rate(a);
    } else if (!strcmp(name, "stop")) {
        do_stop(a, b, c);
    } else if (!strcmp(name, "resume")) {
        do_resume();
    } else if (!strcmp(name, "incoming")) {
        waits = true;
        nic_swallow_later(a);
    } else if (!strcmp(name, "status")) {
        monitor_set_status(rest);
    } else if (!strcmp(name, "emit")) {
        char *event = strtok(rest, " ");

        monitor_emit(event, strtok(NULL, ""));
    } else if (!strcmp(name, "reset")) {
        nic_reset();
        monitor_emit("RESET", "{\"guest\": true}");
    } else if (!strcmp(name, "quit")) {
        monitor_emit("SHUTDOWN",
                     "{\"guest\": false, \"reason\": \"host-qmp-quit\"}");
        reply(0);
        exit(0);
    } else {
        errx(1, "no request '%s'", name);
    }
    reply((unsigned)record_count());
}

static void control_readable(void)
{
    char request[REQUEST_MAX];
    ssize_t n = recv(control, request, sizeof(request) - 1, 0);

    if (n <= 0) {
        exit(0);
    }
    request[n] = '\0';
    execute(request);
}

static void watch(int epoll, int fd, uint32_t what)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = what};

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
        err(1, "epoll");
    }
}

static void dispatch(uint64_t what)
{
    if (what >> 32) {
        monitor_readable((int)(uint32_t)what);
    } else if (what == WATCH_CONTROL) {
        control_readable();
    } else if (what == WATCH_MONITOR) {
        monitor_accept();
    } else if (what == WATCH_TIMER) {
        nic_tick();
    } else {
        nic_readable((unsigned)what);
    }
}

int main(int argc, char **argv)
{
    NicOptions nic;
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    if (argc != 12) {
        errx(2, "see the head of main.c");
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpriority(PRIO_PROCESS, 0, PRIORITY); /* a guest is not to be late */
    control = atoi(argv[1]);
    nic = (NicOptions){
        .ifname = argv[2],
        .n_queues = (unsigned)atoi(argv[3]),
        .vnet = atoi(argv[4]),
        .offloads = (unsigned)atoi(argv[5]),
        .manner = strcmp(argv[6], "vhost") ? MANNER_USER : MANNER_VHOST,
        .record = argv[8],
    };
    nic_open(&nic, epoll);
    monitor_set_status(argv[9]);
    watch(epoll, control, WATCH_CONTROL);
    watch(epoll, nic_timer(), WATCH_TIMER);
    watch(epoll, monitor_open(argv[7], epoll, atoi(argv[10]), atoi(argv[11])),
          WATCH_MONITOR);
    reply(0);
    while (true) {
        struct epoll_event events[16];
        int n = epoll_wait(epoll, events, 16, -1);

        for (int i = 0; i < n; i++) {
            dispatch(events[i].data.u64);
        }
    }
}
