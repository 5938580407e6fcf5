/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The Internet checksum (RFC 1071).
 *
 * 16-bit words are summed in memory order, whatever the machine's byte order
 * (RFC 1071, 2(B)): a number that is added goes through htons(), the result is
 * stored without conversion. Any thread.
 */
#ifndef TF_PACKET_CHECKSUM_H
#define TF_PACKET_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* Adds @len bytes to @sum. An odd @len is for the last piece only. */
uint64_t checksum_add(uint64_t sum, const void *data, size_t len);

/* Stores the complement of @sum at @field (16 bits). A result of zero is
 * stored as the other zero, 0xffff: in UDP zero means no checksum (RFC 768). */
void checksum_store(uint64_t sum, void *field);

#endif
