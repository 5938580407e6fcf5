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
#include <stddef.h>
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

/* Where bytes lie in the process's virtual memory. */
typedef struct GuestPiece {
    uint64_t address;
    size_t size;
} GuestPiece;

/* Reads @n pieces, one after the other, into @bytes, which has room for all of
 * them; in one system call. */
bool guest_memory_read(const GuestMemory *memory, const GuestPiece *pieces,
                       unsigned n, void *bytes);

#endif
