/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The scripted VMM's NIC: the queues of one TAP, the guest's receive queues
 * behind them with their used indices, and what becomes of each frame that is
 * taken: given to the guest (and recorded), kept, or lost.
 *
 * One thread; the descriptors stand in the owner's epoll set, with the queue's
 * number as their data.
 */
#ifndef BLACKOUT_VMM_NIC_H
#define BLACKOUT_VMM_NIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NIC_QUEUES_MAX 8
#define NIC_FRAME_MAX (1 << 17)
/* Entries of a used ring. */
#define NIC_RING_SIZE 256
/* Guest-physical: the used ring of receive queue i lies i pages behind. */
#define NIC_USED_RINGS 0x100000u
#define NIC_PAGE 4096u

/* How frames are lost and found again around a stop. */
typedef enum Manner {
    /* QEMU's own backend: the last frame taken around the stop is delivered
     * when the machine resumes here; the others never are. */
    MANNER_USER,
    /* vhost-net: none is. */
    MANNER_VHOST,
} Manner;

typedef struct NicOptions {
    const char *ifname;
    const char *record; /* file for what the guest got, see record.h */
    unsigned n_queues;
    bool vnet;
    unsigned offloads; /* TUN_F_... */
    Manner manner;
} NicOptions;

/* Opens the TAP, which exists; ends the program on failure. */
void nic_open(const NicOptions *options, int epoll);
void nic_close(void);

/* The guest runs, or not. */
void nic_set_running(bool running);
/* The guest takes so many frames a second; 0: as they come. */
void nic_set_rate(unsigned frames_per_second);
/* A timer of that rate has expired. */
void nic_tick(void);
/* A queue is readable. */
void nic_readable(unsigned queue);

/* Takes up to @n frames that the guest never sees; waits for them a moment. */
void nic_swallow(unsigned n);
/* The next @n frames to come while the guest stands still meet the same. */
void nic_swallow_later(unsigned n);
/* What was swallowed so far is lost in any case. */
void nic_forget_kept(void);
/* Takes up to @n frames out of the queue so that nothing counts them, as
 * vhost-net's stop does with a full queue; needs vnet. Returns how many. */
unsigned nic_destroy(unsigned n);
/* A new life of the guest's driver: its used indices begin anew. */
void nic_reset(void);

unsigned nic_queues(void);
const char *nic_ifname(void);
uint16_t nic_used(unsigned queue);
/* Where the used ring of a queue lies in this process. */
uintptr_t nic_ring_address(unsigned queue);
/* The timer to be watched by the owner. */
int nic_timer(void);

#endif
