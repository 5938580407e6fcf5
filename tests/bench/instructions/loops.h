/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The main loops, one after the other on prepared input, for counting their
 * instructions. What a loop prepares and removes is not counted: only what is
 * called by loop_count() is, on behalf of run.py.
 */
#ifndef BENCH_LOOPS_H
#define BENCH_LOOPS_H

#include "packet/packet.h"

/* Frames that a loop handles each time it is counted. */
#define LOOP_FRAMES 6400u

typedef void LoopBody(void *opaque);

/* Calls @body; callgrind counts what happens in here. */
void loop_count(LoopBody *body, void *opaque);

/* A batch of plain 64-byte frames that differ in a byte. */
void loop_make_batch(PacketBatch *batch);

/* Each prepares its input and has its body counted. */
void loop_framer_parse(void);
void loop_framer_write(void);
void loop_chain_1(void);
void loop_chain_8(void);
void loop_dedup(void);
void loop_ledger(void);
void loop_pcapng(void);
void loop_segment(void);

#endif
