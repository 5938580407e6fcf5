/* SPDX-License-Identifier: BSD-2-Clause */
/* TAPs for tests, with this process as the VMM. Needs root. */
#ifndef TF_TESTS_TUN_FIXTURE_H
#define TF_TESTS_TUN_FIXTURE_H

#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/ioctl.h>

#include <glib.h>
#include <linux/if.h>
#include <linux/if_tun.h>

/* A network namespace of the test's own; false, and the test is skipped, if
 * there can be none. */
static inline bool enter_namespace(void)
{
    if (unshare(CLONE_NEWNET)) {
        g_test_skip("a network namespace needs root");
        return false;
    }
    return true;
}

/* A queue of the TAP @ifname of the present network namespace. */
static inline int open_queue(const char *ifname, short flags)
{
    struct ifreq request = {.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | flags)};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    g_strlcpy(request.ifr_name, ifname, IFNAMSIZ);
    g_assert_cmpint(ioctl(fd, TUNSETIFF, &request), ==, 0);
    return fd;
}

#endif
