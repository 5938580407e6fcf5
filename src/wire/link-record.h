/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The acknowledged link between two tapferry ends: the control records that
 * they exchange in between frames, as byte formats without I/O. The protocol is
 * described in docs/design/0004-link.md.
 *
 * A record takes the place of a frame; the top bit of its length word is set:
 *
 *   u32 BE 0x80000000 | len | u8 type | u64 BE fields
 *
 * For compatibility, records of unknown types and further fields of known types
 * are skipped. No record is sent to a peer that has not shown support: the
 * sender asks by sending LINK_ASK, the first byte of whatever length word comes
 * next, and pausing. A receiver that supports records answers with LINK_STATE;
 * the sender then completes the word with zeros (LINK_ACCEPT_LEN), which is an
 * empty frame, and sends LINK_SESSION. A peer without support sees an unchanged
 * stream.
 */
#ifndef TF_WIRE_LINK_RECORD_H
#define TF_WIRE_LINK_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The first byte of a frame's length, which is PACKET_MAX_LEN at most. */
#define LINK_ASK 0x00
/* Bytes of the reply to LINK_STATE: the rest of a length word of 0. */
#define LINK_ACCEPT_LEN 3
/* A length word with this bit is a record's. */
#define LINK_RECORD_BIT 0x80000000u
/* Of a record, behind its length word. */
#define LINK_BODY_MAX 4096
/* The longest that link_record_put() writes. */
#define LINK_RECORD_MAX 64
/* The digest in LINK_STATE covers this many of the last frames, */
#define LINK_TAIL 16
/* of each of them its length and at most so many of its first bytes. */
#define LINK_TAIL_BYTES 128

typedef enum LinkType {
    LINK_STATE = 1,     /* to the sender: what the receiver has */
    LINK_SESSION = 2,   /* to the receiver: where the sender goes on */
    LINK_ACK = 3,       /* to the sender: acknowledgement */
    LINK_CANCELLED = 4, /* to the receiver: the migration was cancelled, all
                           frames before this are void */
    LINK_DELIVERED = 5, /* to the receiver: digests of frames that the VM
                           received at the source lately
                           (wire/link-delivered.h) */
    LINK_END = 6,       /* to the receiver: the sender does not come back */
    LINK_VANISHED = 7,  /* to the sender: its predecessor ended without
                           LINK_END */
    LINK_FOUND = 8,     /* to the receiver: frames before next were found in the
                           TAP's queue when the sender began; a predecessor may
                           have sent them; place is that of the frame behind
                           them */
    LINK_PLACE = 9,     /* to the receiver: of the last count frames the first
                           has this place */
    LINK_MISSING = 10,  /* to the sender: so many frames were lost with its
                           predecessors */
    LINK_PIECES = 11,   /* to the receiver: the next count frames are segments
                           of one */
} LinkType;

/* LinkRecord.flags of LINK_PLACE: the queue was full at the stop; the link has
 * segmented some of the frames since the one with the place. */
#define LINK_PLACE_FULL 1
#define LINK_PLACE_CUT 2

/* The fields of all types; each field's comment names the types that have it.
 */
typedef struct LinkRecord {
    LinkType type;
    uint64_t epoch;   /* state: drawn by each receiver when it is made */
    uint64_t session; /* state, session: drawn by the sender; 0: none yet, and
                         numbers count from the first frame of the last
                         connection that began without LINK_ASK */
    uint64_t next;    /* state, session, ack: number of the next frame; found:
                         of the first frame behind those meant */
    uint64_t settled; /* state, ack: all frames before it are settled: injected
                         or dropped for good */
    uint64_t digest;  /* state: of the last frames before next */
    uint64_t lost;    /* session: frames before next that can't be sent again;
                         missing */
    uint64_t place;   /* found, place: see switchover/shortfall.h */
    uint64_t count;   /* place: frames as captured; pieces: on the wire */
    uint64_t again;   /* found: how much the TAP's counters grew when they were
                         taken out and put back */
    uint64_t taken; /* found, place: tx_packets when the first of these was the
                       next to be taken */
    uint64_t flags; /* place: LINK_PLACE_... */
} LinkRecord;

/* Writes @record with its length word to @bytes (LINK_RECORD_MAX); returns
 * how many. */
size_t link_record_put(uint8_t *bytes, const LinkRecord *record);

/* Writes what stands before a body of @len bytes; returns how many (5). */
size_t link_record_put_head(uint8_t *bytes, LinkType type, size_t len);

/* Parses what follows the length word. Of an unknown type only the type is set.
 * False if a record of a known type is too short. */
bool link_record_parse(const uint8_t *body, size_t len, LinkRecord *record);

/* The stream from receiver to sender, which has nothing but records. */
typedef struct LinkInput {
    uint8_t bytes[4 + LINK_BODY_MAX];
    size_t have;
} LinkInput;

typedef enum LinkResult {
    LINK_MORE,    /* all bytes were consumed, the record is incomplete */
    LINK_RECORD,  /* a record is complete */
    LINK_GARBAGE, /* not a stream of records */
} LinkResult;

/* Consumes bytes, up to the end of the next record; advances *@bytes and *@n.
 */
LinkResult link_input_take(LinkInput *input, const uint8_t **bytes, size_t *n,
                           LinkRecord *record);

/* The last frames of a stream, for LINK_STATE's digest. */
typedef struct LinkTail {
    uint64_t count;
    uint64_t hashes[LINK_TAIL]; /* of the first LINK_TAIL_BYTES of each */
} LinkTail;

/* Adds a frame as it is on the wire, from its destination address on. */
void link_tail_add(LinkTail *tail, const uint8_t *frame, size_t len);

/* 0 if there were no frames. */
uint64_t link_tail_digest(const LinkTail *tail);

#endif
