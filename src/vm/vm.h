/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtual machine as tapferry sees it: run state, migration state, and how
 * many frames it has received. A provider keeps it up to date: vm-qmp follows a
 * QMP monitor, vm-lines a script; the daemon's own run state (stop, cont, -S)
 * is one too. Only the control plane changes it and calls listeners; any thread
 * that holds its loop may read it. vm_nic_used() is called in the loop of the
 * NIC's TAP.
 */
#ifndef TF_VM_VM_H
#define TF_VM_VM_H

#include "base/loop.h"
#include "object/object.h"

#include <sys/types.h>

/* Receive queues of a NIC that are supported. */
#define VM_QUEUES_MAX 8
/* Entries of a ring (QEMU's VIRTQUEUE_MAX_SIZE). */
#define VM_RING_MAX 1024

typedef struct Vm Vm;
typedef struct VmClass VmClass;
typedef struct VmNic VmNic;

/* For qom-get; decisions are made by Vm.known and Vm.running. */
typedef enum VmState {
    VM_STATE_UNKNOWN,
    VM_STATE_RUNNING,
    VM_STATE_STOPPED,
    VM_STATE_GONE, /* shut down, or its process ended */
} VmState;

typedef enum VmMigration {
    VM_MIGRATION_UNKNOWN, /* can't be known: one may begin at any time */
    VM_MIGRATION_NONE,
    VM_MIGRATION_ACTIVE,    /* set up or running, outgoing */
    VM_MIGRATION_COMPLETED, /* the VM runs on another host now */
} VmMigration;

typedef enum VmEvent {
    VM_EVENT_RUN_STATE, /* known or running changed */
    VM_EVENT_MIGRATION, /* migration changed */
    VM_EVENT_GONE,      /* shut down, or its process ended */
} VmEvent;

/* @time_us: CLOCK_REALTIME of the change by the provider's own clock. */
typedef void VmFunc(void *opaque, VmEvent event, int64_t time_us);

typedef struct VmListener {
    VmFunc *func;
    void *opaque;
    Loop *loop; /* current at vm_listen(); entered for func() */
} VmListener;

struct VmClass {
    ObjectClass object;
    /* The provider asks for the run state: the first answer tells what the VM
     * has been doing. Else it only hears of changes, and the VM is taken to
     * have run before the first. */
    bool asks;
    /* The VMM's process, 0 if it is not known (now). NULL: never known. */
    pid_t (*pid)(const Vm *vm);
    /* Starts to look for the virtio device behind @nic's TAP. NULL: the
     * provider can't tell what the guest received. */
    void (*nic_added)(Vm *vm, VmNic *nic);
    void (*nic_removed)(Vm *vm, VmNic *nic);
    /* See vm_nic_used(), and with it vm_nic_used_lengths(). */
    unsigned (*nic_used)(Vm *vm, VmNic *nic, uint16_t *used);
    bool (*nic_used_lengths)(VmNic *nic, unsigned queue, uint16_t first,
                             uint16_t n, uint32_t *lengths);
};

struct Vm {
    Object object;
    bool known; /* the provider has answered at least once */
    bool running;
    bool incoming;        /* stopped, and waiting for an incoming migration */
    int state;            /* VmState */
    int migration;        /* VmMigration */
    GPtrArray *listeners; /* VmListener *, borrowed */
};

/* The NIC of a VM that sits behind a TAP. */
struct VmNic {
    Vm *vm;
    char *ifname;   /* the TAP's name, owned */
    void *provider; /* the provider's data */
    unsigned epoch; /* changes when the used indices are those of another
                       device or driver: what was learned of them is void */
    /* Bytes of the virtio-net header in front of each frame in the guest's
     * receive buffers, once the used indices are known. */
    uint16_t header;
};

extern const ObjectClass vm_class; /* the abstract base */

/* The daemon's own run state; never NULL, lives as long as the daemon. */
Vm *vm_daemon(void);

pid_t vm_pid(const Vm *vm);

/* The run state is not known yet, and the VM may be stopped. */
bool vm_may_stand(const Vm *vm);

void vm_listen(Vm *vm, VmListener *listener);
void vm_unlisten(Vm *vm, VmListener *listener);

/* For the providers: set the state and call the listeners. @time_us as in
 * VmFunc. */
void vm_set_running(Vm *vm, bool running, int64_t time_us);
void vm_set_migration(Vm *vm, VmMigration migration, int64_t time_us);
void vm_set_gone(Vm *vm, int64_t time_us);

/* Never fails; where the provider can't tell, vm_nic_used() returns 0. */
VmNic *vm_nic_new(Vm *vm, const char *ifname);
void vm_nic_free(VmNic *nic);

/* Reads the used index of each receive queue (virtio 1.2 section 2.7.8) into
 * @used[VM_QUEUES_MAX]: how many receive buffers the device has used, modulo
 * 65536; for frames that fit one buffer, how many frames the guest received.
 * Returns the number of queues; 0 if they can't be read now, or are more than
 * VM_QUEUES_MAX. */
unsigned vm_nic_used(VmNic *nic, uint16_t *used);

/* Reads from the used ring how many bytes were written into each of @n buffers
 * of receive queue @queue, from used index @first on (virtio 1.2, 2.7.8). A
 * frame with its virtio-net header may take several buffers. False if they
 * can't be read, or were overwritten by later ones. */
bool vm_nic_used_lengths(VmNic *nic, unsigned queue, uint16_t first, uint16_t n,
                         uint32_t lengths[VM_RING_MAX]);

#endif
