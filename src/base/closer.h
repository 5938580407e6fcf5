/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Closing descriptors whose close waits. The kernel closes a packet socket
 * only after an RCU grace period (packet_release() in af_packet.c), measured
 * 6 to 20 ms here: too long for a loop that carries other machines' packets,
 * and a quarter of a minute for a thousand of them one by one. So threads do
 * it that exist for just as long, several at a time, because those that wait
 * at the same time share a grace period.
 *
 * Any thread.
 */
#ifndef TF_BASE_CLOSER_H
#define TF_BASE_CLOSER_H

/* Closes @fd, soon; it belongs to the closer from now on. */
void closer_close(int fd);

/* Waits until all are closed and the threads have ended. */
void closer_finish(void);

#endif
