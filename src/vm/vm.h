/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtual machine as tapferry sees it: does it run, does it migrate, and
 * how many frames did it get. Filled by a provider: vm-qmp follows a QMP
 * monitor; the daemon's own run state (stop, cont, -S) is one too.
 * Changed and told by the control plane, read by all; vm_nic_used() is asked in
 * the loop of the NIC's TAP.
 */
#ifndef TF_VM_VM_H
#define TF_VM_VM_H

#include "base/loop.h"
#include "object/object.h"

#include <sys/types.h>

/* Of a NIC, that can be told apart. */
#define VM_QUEUES_MAX 8
/* Entries of a ring (QEMU's VIRTQUEUE_MAX_SIZE). */
#define VM_RING_MAX 1024

typedef struct Vm Vm;
typedef struct VmClass VmClass;
typedef struct VmNic VmNic;

/* For qom-get; who decides asks known and running. */
typedef enum VmState {
    VM_STATE_UNKNOWN,
    VM_STATE_RUNNING,
    VM_STATE_STOPPED,
    VM_STATE_GONE, /* shut down, or its process ended */
} VmState;

typedef enum VmMigration {
    VM_MIGRATION_UNKNOWN, /* can't be told: be prepared at any time */
    VM_MIGRATION_NONE,
    VM_MIGRATION_ACTIVE,    /* set up or running, outgoing */
    VM_MIGRATION_COMPLETED, /* the machine lives elsewhere now */
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
    Loop *loop; /* that of vm_listen(), entered for func() */
} VmListener;

struct VmClass {
    ObjectClass object;
    /* The first that is known is what the VM has been doing; else it is what it
     * begins to do, and it ran before. */
    bool asks;
    /* The VMM's process, 0 if it is not known (now). NULL: it never is. */
    pid_t (*pid)(const Vm *vm);
    /* Starts to look for the NIC behind @nic's TAP. NULL: there is no way to
     * know what the guest got. */
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
    bool incoming;        /* it stands, and waits for a migration to bring it */
    int state;            /* VmState */
    int migration;        /* VmMigration */
    GPtrArray *listeners; /* VmListener *, borrowed */
};

/* The NIC of a VM that sits behind a TAP. */
struct VmNic {
    Vm *vm;
    char *ifname;   /* the TAP's name, owned */
    void *provider; /* the provider's own */
    unsigned epoch; /* changes when the used indices become others':
                       what was learned of the old one is void */
    /* Bytes of the virtio-net header in front of each frame in the guest's
     * receive buffers, once the used indices are known. */
    uint16_t header;
};

extern const ObjectClass vm_class; /* the abstract base */

/* The daemon's own run state; never NULL, lives as long as the daemon. */
Vm *vm_daemon(void);

pid_t vm_pid(const Vm *vm);

/* Nothing is known yet, and when it is, the VM may have stood all the time. */
bool vm_may_stand(const Vm *vm);

void vm_listen(Vm *vm, VmListener *listener);
void vm_unlisten(Vm *vm, VmListener *listener);

/* For the providers: set and tell. */
void vm_set_running(Vm *vm, bool running, int64_t time_us);
void vm_set_migration(Vm *vm, VmMigration migration, int64_t time_us);
void vm_set_gone(Vm *vm, int64_t time_us);

/* Never fails: with a VM without a way to know vm_nic_used() is 0. */
VmNic *vm_nic_new(Vm *vm, const char *ifname);
void vm_nic_free(VmNic *nic);

/* How many receive buffers the guest's device has used, modulo 65536 (virtio
 * 1.2 section 2.7.8), in each of its receive queues, in @used[VM_QUEUES_MAX]:
 * for frames that fit one buffer, how many frames the guest really got. Returns
 * how many queues there are; 0 if they can't be read now, or are more. */
unsigned vm_nic_used(VmNic *nic, uint16_t *used);

/* How many bytes were written into each of the @n buffers of receive queue
 * @queue that followed used index @first (virtio 1.2, 2.7.8): a frame and its
 * header, which may take several. False if they can't be read, or were
 * overwritten by later ones. */
bool vm_nic_used_lengths(VmNic *nic, unsigned queue, uint16_t first, uint16_t n,
                         uint32_t lengths[VM_RING_MAX]);

#endif
