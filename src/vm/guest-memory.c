/* SPDX-License-Identifier: BSD-2-Clause */
#include "vm/guest-memory.h"

#include "base/error.h"

#include <errno.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

bool guest_memory_open(GuestMemory *memory, pid_t pid, GError **errp)
{
    guest_memory_close(memory);
    memory->pid = pid;
    memory->fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (memory->fd < 0) {
        return tf_error_set_errno(errp, errno, "can not find process %d",
                                  (int)pid);
    }
    return true;
}

void guest_memory_close(GuestMemory *memory)
{
    if (memory->fd >= 0) {
        close(memory->fd);
        memory->fd = -1;
    }
}

/* As long as it runs, its number is nobody else's. */
static bool guest_memory_lives(const GuestMemory *memory)
{
    struct pollfd end = {.fd = memory->fd, .events = POLLIN};

    return memory->fd >= 0 && poll(&end, 1, 0) == 0;
}

bool guest_memory_read(const GuestMemory *memory, const GuestPiece *pieces,
                       unsigned n, void *bytes)
{
    struct iovec local = {.iov_base = bytes};
    struct iovec remote[GUEST_MEMORY_READS_MAX];

    for (unsigned i = 0; i < n; i++) {
        remote[i].iov_base = (void *)(uintptr_t)pieces[i].address;
        remote[i].iov_len = pieces[i].size;
        local.iov_len += pieces[i].size;
    }
    return memory->fd >= 0 &&
           process_vm_readv(memory->pid, &local, 1, remote, n, 0) ==
               (ssize_t)local.iov_len &&
           guest_memory_lives(memory);
}
