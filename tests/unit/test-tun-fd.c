/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VMM's TAP descriptors, with this process as the VMM. Needs root: each
 * test works in a network namespace of its own.
 */
#include "netdev/tun-fd.h"

#include "base/error.h"
#include "tun-fixture.h"

#include <string.h>
#include <unistd.h>

#define QUEUES_MAX 4

static void close_all(int *fds, int n)
{
    for (int i = 0; i < n; i++) {
        g_assert_cmpint(close(fds[i]), ==, 0);
    }
}

static void test_one_queue(void)
{
    g_autoptr(GError) error = NULL;
    int fds[QUEUES_MAX], queue, other, same;

    if (!enter_namespace()) {
        return;
    }
    queue = open_queue("tap0", 0);
    other = open_queue("tap01", 0);
    same = dup(queue);
    g_assert_cmpint(tun_fd_get(getpid(), "tap0", fds, QUEUES_MAX, &error), ==,
                    1);
    g_assert_no_error(error);
    g_assert_true(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
    g_assert_cmpint(tun_fd_vnet_hdr_len(fds[0]), ==, 0);
    close_all((int[]){queue, other, same, fds[0]}, 4);
}

static void test_several_queues(void)
{
    g_autoptr(GError) error = NULL;
    int queues[3], fds[QUEUES_MAX];
    int size = 12;

    if (!enter_namespace()) {
        return;
    }
    for (int i = 0; i < 3; i++) {
        queues[i] = open_queue("tap0", IFF_MULTI_QUEUE | IFF_VNET_HDR);
        g_assert_cmpint(ioctl(queues[i], TUNSETVNETHDRSZ, &size), ==, 0);
    }
    g_assert_cmpint(tun_fd_get(getpid(), "tap0", fds, QUEUES_MAX, &error), ==,
                    3);
    g_assert_no_error(error);
    g_assert_cmpint(tun_fd_vnet_hdr_len(fds[2]), ==, 12);
    close_all(fds, 3);
    g_assert_cmpint(tun_fd_get(getpid(), "tap0", fds, 2, &error), ==, 2);
    close_all(fds, 2);
    close_all(queues, 3);
}

static void test_another_namespace(void)
{
    g_autoptr(GError) error = NULL;
    int fds[QUEUES_MAX], there, here;

    if (!enter_namespace()) {
        return;
    }
    there = open_queue("tap0", 0);
    enter_namespace();
    g_assert_cmpint(tun_fd_get(getpid(), "tap0", fds, QUEUES_MAX, &error), ==,
                    0);
    g_assert_error(error, TF_ERROR, TF_ERROR_GENERIC);
    g_assert_nonnull(strstr(error->message, "the TAP 'tap0'"));
    g_clear_error(&error);
    here = open_queue("tap0", IFF_VNET_HDR);
    g_assert_cmpint(tun_fd_get(getpid(), "tap0", fds, QUEUES_MAX, &error), ==,
                    1);
    g_assert_cmpint(tun_fd_vnet_hdr_len(fds[0]), ==, 10);
    close_all((int[]){there, here, fds[0]}, 3);
}

static void test_no_process(void)
{
    g_autoptr(GError) error = NULL;
    int fds[QUEUES_MAX];

    /* Above the kernel's limit of process ids, 2^22. */
    g_assert_cmpint(tun_fd_get(1 << 23, "tap0", fds, QUEUES_MAX, &error), ==,
                    0);
    g_assert_error(error, TF_ERROR, TF_ERROR_GENERIC);
    g_assert_nonnull(strstr(error->message, "can not look into process"));
    g_assert_cmpint(tun_fd_vnet_hdr_len(0), ==, -1);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/tun-fd/one-queue", test_one_queue);
    g_test_add_func("/tun-fd/several-queues", test_several_queues);
    g_test_add_func("/tun-fd/another-namespace", test_another_namespace);
    g_test_add_func("/tun-fd/no-process", test_no_process);
    return g_test_run();
}
