/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What two tapferry ends of a link tell each other besides frames, as byte
 * formats without I/O. docs/design/0004-link.md has the whole story.
 *
 * A record stands where a frame could begin, and the top bit of its length
 * word tells it from one:
 *
 *   u32 BE 0x80000000 | len | u8 type | u64 BE fields
 *
 * A known type may have more fields than are known, an unknown one is skipped:
 * so both can be added to. No record is sent to a peer that has not shown that
 * it knows them: the sender asks by sending LINK_ASK, the first byte of
 * whatever length word comes next, and no more for a while. A receiver that
 * knows records answers with LINK_STATE; the sender then ends the word it has
 * begun with zeros (LINK_ACCEPT_LEN), an empty frame, and sends LINK_SESSION.
 * To anybody else the stream is the one it would be without all that.
 */
#ifndef TF_WIRE_LINK_RECORD_H
#define TF_WIRE_LINK_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The first byte of a frame's length, which is PACKET_MAX_LEN at most. */
#define LINK_ASK 0x00
/* What is asked for is accepted: the rest of a length of 0, an empty frame. */
#define LINK_ACCEPT_LEN 3
/* A length word with this bit is a record's. */
#define LINK_RECORD_BIT 0x80000000u
/* Of a record, behind its length word. */
#define LINK_BODY_MAX 4096
/* The longest that link_record_put() writes. */
#define LINK_RECORD_MAX 64
/* So many of the last frames make the digest. */
#define LINK_TAIL 16
/* What a frame is known by, with its length. */
#define LINK_TAIL_BYTES 128

typedef enum LinkType {
    LINK_STATE = 1,     /* to the sender: where I am */
    LINK_SESSION = 2,   /* to the receiver: where I go on */
    LINK_ACK = 3,       /* to the sender: where I am now */
    LINK_CANCELLED = 4, /* to the receiver: the VM needs no frame before this */
    LINK_DELIVERED = 5, /* to the receiver: digests of frames that the VM got at
                           the source lately (wire/link-delivered.h) */
    LINK_END = 6,       /* to the receiver: the sender does not come back */
    LINK_VANISHED = 7,  /* to the sender: you follow one that did not say so */
    LINK_FOUND = 8,     /* to the receiver: frames before next, count of them
                           if none was cut, lay in the TAP's queue when I began;
                           another sender may have sent them; place is that of
                           the frame behind them */
    LINK_PLACE = 9,     /* to the receiver: the last count frames before next
                           begin with the one of that place */
    LINK_MISSING = 10,  /* to the sender: so many frames were lost with those
                           that you follow */
} LinkType;

/* LinkRecord.flags: the queue was full at the stop; the link has cut up some of
 * the frames since the one with the place. */
#define LINK_PLACE_FULL 1
#define LINK_PLACE_CUT 2

/* The fields of all types; a type has those that its comment names it for. */
typedef struct LinkRecord {
    LinkType type;
    uint64_t epoch;   /* state: drawn by each receiver when it is made */
    uint64_t session; /* state, session: drawn by the sender; 0: none yet, and
                         frames count from the first of the last connection
                         that began without a question */
    uint64_t next; /* state, session, ack: number of the frame to come; found,
                      place: of the first that is none of these */
    uint64_t settled; /* state, ack: all before it have their place for good */
    uint64_t digest;  /* state: of the last frames before next */
    uint64_t lost;    /* session: so many before next can't be sent again;
                         missing */
    uint64_t place;   /* found, place: see switchover/shortfall.h */
    uint64_t count;   /* found, place: captured frames, of which the link may
                         cut some up */
    uint64_t again;  /* found: how often the TAP has counted one of them anew */
    uint64_t taken;  /* found, place: tx_packets when the first of these was the
                        next to be taken */
    uint64_t flags;  /* place: LINK_PLACE_... */
    uint64_t pieces; /* place: the link makes so many of the next frame */
} LinkRecord;

/* Writes @record with its length word to @bytes (LINK_RECORD_MAX); returns
 * how many. */
size_t link_record_put(uint8_t *bytes, const LinkRecord *record);

/* Writes what stands before a body of @len bytes; returns how many (5). */
size_t link_record_put_head(uint8_t *bytes, LinkType type, size_t len);

/* What is behind the length word. An unknown type has no fields; false if a
 * known one is too short. */
bool link_record_parse(const uint8_t *body, size_t len, LinkRecord *record);

/* A stream of nothing but records, as a sender gets it. */
typedef struct LinkInput {
    uint8_t bytes[4 + LINK_BODY_MAX];
    size_t have;
} LinkInput;

typedef enum LinkResult {
    LINK_MORE,    /* all bytes are taken, and the record is not complete */
    LINK_RECORD,  /* one is */
    LINK_GARBAGE, /* that is no such stream */
} LinkResult;

/* Takes bytes, up to the end of the next record. */
LinkResult link_input_take(LinkInput *input, const uint8_t **bytes, size_t *n,
                           LinkRecord *record);

/* The last frames of a count. */
typedef struct LinkTail {
    uint64_t count;
    uint64_t hashes[LINK_TAIL]; /* of the first LINK_TAIL_BYTES of each */
} LinkTail;

/* One more frame, from its destination address on, as the wire has it. */
void link_tail_add(LinkTail *tail, const uint8_t *frame, size_t len);

/* 0 if there is none. */
uint64_t link_tail_digest(const LinkTail *tail);

#endif
