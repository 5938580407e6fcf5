/* SPDX-License-Identifier: BSD-2-Clause */
#include "netdev/tun-fd.h"

#include "base/error.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/kcmp.h>

/* Is descriptor @number of the process a queue of a TAP called @ifname, in any
 * network namespace? By /proc/PID/fdinfo, which unlike /proc/PID/fd needs only
 * ptrace access (kernel 5.14). */
static bool tun_fd_has_name(const char *dir, const char *number,
                            const char *ifname)
{
    g_autofree char *path = g_build_filename(dir, number, NULL);
    g_autofree char *line = g_strdup_printf("\niff:\t%s\n", ifname);
    g_autofree char *text = NULL;

    return g_file_get_contents(path, &text, NULL, NULL) && strstr(text, line);
}

/* Is the TAP in our network namespace? Another one may have the same name. */
static bool tun_fd_is_here(int fd)
{
    int ns = ioctl(fd, TUNGETDEVNETNS);
    struct stat theirs, ours;
    bool same;

    if (ns < 0) {
        return false;
    }
    same = fstat(ns, &theirs) == 0 &&
           stat("/proc/thread-self/ns/net", &ours) == 0 &&
           theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino;
    close(ns);
    return same;
}

/* Is it a duplicate of one of @fds? */
static bool tun_fd_is_known(int fd, const int *fds, int n)
{
    pid_t self = getpid();

    for (int i = 0; i < n; i++) {
        if (syscall(SYS_kcmp, self, self, KCMP_FILE, fd, fds[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Duplicates descriptor @number of the process; -1 if it is not wanted or
 * can't be had. */
static int tun_fd_take(int pidfd, const char *number, const int *fds, int n)
{
    int fd = (int)syscall(SYS_pidfd_getfd, pidfd, atoi(number), 0);

    if (fd >= 0 && (!tun_fd_is_here(fd) || tun_fd_is_known(fd, fds, n))) {
        close(fd);
        errno = 0;
        return -1;
    }
    return fd;
}

static bool tun_fd_set_error(GError **errp, int error, pid_t pid)
{
    return tf_error_set_errno(
        errp, error, "can not look into process %d (%s)", (int)pid,
        error == EPERM || error == EACCES ? "CAP_SYS_PTRACE is needed"
                                          : "does it run?");
}

int tun_fd_get(pid_t pid, const char *ifname, int *fds, unsigned max,
               GError **errp)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/fdinfo", (int)pid);
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    int n = 0, error = pidfd < 0 ? errno : 0;
    GDir *dir = pidfd < 0 ? NULL : g_dir_open(path, 0, NULL);
    const char *number;

    if (pidfd >= 0 && !dir) {
        error = errno;
    }
    while (dir && n < (int)max && (number = g_dir_read_name(dir))) {
        if (tun_fd_has_name(path, number, ifname)) {
            fds[n] = tun_fd_take(pidfd, number, fds, n);
            if (fds[n] < 0 && errno && errno != EBADF) {
                error = errno; /* EBADF: closed since it was listed */
            }
            n += fds[n] >= 0;
        }
    }
    g_clear_pointer(&dir, g_dir_close);
    if (pidfd >= 0) {
        close(pidfd);
    }
    if (n == 0 && error) {
        tun_fd_set_error(errp, error, pid);
    } else if (n == 0) {
        tf_error_set(errp, "process %d does not have the TAP '%s' open",
                     (int)pid, ifname);
    }
    return n;
}

int tun_fd_vnet_hdr_len(int fd)
{
    struct ifreq request = {.ifr_flags = 0};
    int len;

    if (ioctl(fd, TUNGETIFF, &request)) {
        return -1;
    }
    if (!(request.ifr_flags & IFF_VNET_HDR)) {
        return 0;
    }
    return ioctl(fd, TUNGETVNETHDRSZ, &len) ? -1 : len;
}
