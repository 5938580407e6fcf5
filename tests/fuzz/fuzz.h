/* SPDX-License-Identifier: BSD-2-Clause */
/* What libFuzzer calls in each target. */
#ifndef TF_TESTS_FUZZ_H
#define TF_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
