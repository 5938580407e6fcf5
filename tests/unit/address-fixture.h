/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of addresses have in common. */
#ifndef TF_TESTS_ADDRESS_FIXTURE_H
#define TF_TESTS_ADDRESS_FIXTURE_H

#include "base/address.h"

/* *@error is a GenericError with this message; it is cleared. */
void address_assert_error(GError **error, const char *text);

/* Is it non-blocking, and closed on exec? */
bool address_is_nonblocking(int fd);

/* Waits for @events of poll(2); fails after five seconds. */
void address_wait_for(int fd, short events);

/* Listens at @address, connects both ways, and checks all that comes out. */
void address_check_round_trip(const Address *address);

#endif
