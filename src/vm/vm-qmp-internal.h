/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of vm-qmp share: vm-qmp.c (run state and migration), and
 * vm-qmp-nic.c (finding and reading the used indices). */
#ifndef TF_VM_VM_QMP_INTERNAL_H
#define TF_VM_VM_QMP_INTERNAL_H

#include "base/loop.h"
#include "vm/qmp-client.h"
#include "vm/vm.h"

#include <sys/types.h>

typedef struct VmQmp {
    Vm vm;
    char *addr;
    uint32_t pid;
    char *device;
    QmpClient *client;
    pid_t peer;            /* the VMM's process, 0 if not known */
    int peer_fd;           /* its pidfd, -1: none */
    LoopWatch exit;        /* becomes readable when it ends */
    bool migration_events; /* MIGRATION events come: the VMM has them on */
    LoopTimer migrate_ask;
    GPtrArray *nics; /* NicLookup */
} VmQmp;

extern const VmClass vm_qmp_class;

/* vm-qmp-nic.c */
/* Asks QEMU where the used indices are that are not known. */
void vm_qmp_find_nics(VmQmp *self);
/* They are not known any more: the connection or the process is gone. */
void vm_qmp_forget_nics(VmQmp *self);
/* The hooks of VmClass. */
void vm_qmp_nic_added(Vm *vm, VmNic *nic);
void vm_qmp_nic_removed(Vm *vm, VmNic *nic);
unsigned vm_qmp_nic_used(Vm *vm, VmNic *nic, uint16_t *used);
bool vm_qmp_nic_used_lengths(VmNic *nic, unsigned queue, uint16_t first,
                             uint16_t n, uint32_t *lengths);

#endif
