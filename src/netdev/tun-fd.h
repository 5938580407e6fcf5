/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Duplicates a VMM's descriptors of its TAP into this process (pidfd_getfd(2)).
 * What is written to one of them looks to the bridge as if it came from the
 * guest; what is read from it the guest does not get; and as long as one is
 * open the TAP keeps its carrier, even if the VMM has exited. The caller owns
 * the descriptors. Any thread.
 */
#ifndef TF_NETDEV_TUN_FD_H
#define TF_NETDEV_TUN_FD_H

#include <sys/types.h>

#include <glib.h>

/* The kernel's own limit (MAX_TAP_QUEUES). */
#define TUN_QUEUES_MAX 256

/*
 * Finds the queues of the TAP @ifname of this network namespace that process
 * @pid has open, and puts one descriptor (O_CLOEXEC) of each into @fds, @max
 * at most. They share the VMM's file status flags (O_NONBLOCK).
 * Returns how many, or 0 with an error: the process has none, or can't be
 * looked into (ptrace rights over it are needed), or the kernel is older than
 * 5.6.
 */
int tun_fd_get(pid_t pid, const char *ifname, int *fds, unsigned max,
               GError **errp);

/* How many bytes of virtio-net header precede each frame that is read from or
 * written to @fd: 0 if there is none. -1 if @fd is no attached queue. */
int tun_fd_vnet_hdr_len(int fd);

#endif
