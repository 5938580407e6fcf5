/* SPDX-License-Identifier: BSD-2-Clause */
#include "vm/guest-memory.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

bool guest_memory_open(GuestMemory *memory, pid_t pid, GError **errp)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/mem", (int)pid);

    guest_memory_close(memory);
    memory->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (memory->fd < 0) {
        return tf_error_set_errno(errp, errno, "can not open '%s'", path);
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

bool guest_memory_read16(const GuestMemory *memory, uint64_t address,
                         uint16_t *value)
{
    uint8_t bytes[2];

    if (memory->fd < 0 || pread(memory->fd, bytes, sizeof(bytes),
                                (off_t)address) != sizeof(bytes)) {
        return false;
    }
    *value = (uint16_t)(bytes[0] | bytes[1] << 8);
    return true;
}
