/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The frames that the benchmark sends, and the packet socket it sends them
 * through.
 *
 * A plain frame has an ethertype for experiments, so that no stack answers. One
 * above TSO_FROM bytes is a TCP super-frame with its virtio-net header, and so
 * is a train of plain frames, which the kernel cuts into them. The destination
 * address is nobody's: a NIC takes the frame off the wire and drops it.
 */
#ifndef BENCH_FRAME_H
#define BENCH_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/virtio_net.h>

#define FRAME_MAX 65536
#define TSO_FROM 1514
#define BATCH 64

/* Ends the program with a word on errno. */
_Noreturn void frame_die(const char *what);

/* Writes a frame of @size bytes and its header; false if @size is none. */
bool frame_make(uint8_t *frame, size_t size, struct virtio_net_hdr *vnet);

/* Makes of @frame, of FRAME_MAX bytes, as many TCP frames of @size bytes, at
 * most TSO_FROM, as are worth a call; returns how many, and their bytes as one
 * super-frame in @total. */
unsigned frame_make_train(uint8_t *frame, size_t size,
                          struct virtio_net_hdr *vnet, size_t *total);

/* Does the interface take checksums and super-frames as they are, or is the
 * kernel to complete them? */
void frame_set_offloads(const char *ifname, bool on);

/* A packet socket on an interface; @vnet: each frame has a virtio-net header
 * in front; @protocol 0 receives nothing. */
int frame_socket(const char *ifname, int protocol, bool vnet);

/* CLOCK_MONOTONIC in ns. */
uint64_t frame_now(void);

#endif
