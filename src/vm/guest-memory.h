/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A look into the memory of the process that runs a VM, by process_vm_readv(2):
 * a few microseconds, no help needed from the VMM, and it works while the
 * VMM's own loop is busy. Needs ptrace rights over the process: its user's, or
 * CAP_SYS_PTRACE alone (/proc/PID/mem would need the right to open another
 * user's files as well).
 */
#ifndef TF_VM_GUEST_MEMORY_H
#define TF_VM_GUEST_MEMORY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <glib.h>

typedef struct GuestMemory {
    int fd; /* pidfd, or -1: not open */
    pid_t pid;
} GuestMemory;

#define GUEST_MEMORY_INIT ((GuestMemory){.fd = -1})

bool guest_memory_open(GuestMemory *memory, pid_t pid, GError **errp);
void guest_memory_close(GuestMemory *memory);

#define GUEST_MEMORY_READS_MAX 8

/* Reads 16 bits, little-endian, at each of @n of the process's virtual
 * @addresses, in one system call. */
bool guest_memory_read16(const GuestMemory *memory, const uint64_t *addresses,
                         unsigned n, uint16_t *values);

#endif
