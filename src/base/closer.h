/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Closes descriptors whose close() blocks. close() of a packet socket returns
 * only after an RCU grace period (packet_release() in af_packet.c), measured
 * 6 to 20 ms: too long for a loop that carries other VMs' packets, and a
 * quarter of a minute for a thousand of them one by one. Short-lived threads do
 * it, several at a time: those that wait at the same time share a grace period.
 *
 * Any thread.
 */
#ifndef TF_BASE_CLOSER_H
#define TF_BASE_CLOSER_H

/* Closes @fd later; takes ownership. */
void closer_close(int fd);

/* Waits until all are closed and the threads have ended. */
void closer_finish(void);

#endif
