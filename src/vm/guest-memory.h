/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads the memory of the VMM's process by process_vm_readv(2): a few
 * microseconds, without the VMM's help, and even while its main loop is busy.
 * Needs ptrace access to the process: the same user, or CAP_SYS_PTRACE
 * (/proc/PID/mem would need the right to open another user's files as well).
 * Any thread.
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

/* A range of the process's virtual memory. */
typedef struct GuestPiece {
    uint64_t address;
    size_t size;
} GuestPiece;

/* Reads @n pieces (at most GUEST_MEMORY_READS_MAX) in one system call, one
 * after the other into @bytes, which has room for all of them. False if any
 * can't be read. */
bool guest_memory_read(const GuestMemory *memory, const GuestPiece *pieces,
                       unsigned n, void *bytes);

#endif
