/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * QEMU's stream framing, as a state machine without I/O.
 *
 *   u32 BE payload_len | u32 BE vnet_hdr_len (only with vnet) | payload
 *
 * payload_len counts the virtio-net header, which is the payload's first
 * vnet_hdr_len bytes. (QEMU net/net.c net_fill_rstate, net/filter-mirror.c)
 *
 * Between two tapferry ends records stand between frames (wire/link-record.h).
 *
 * The caller owns a FramerBuffer, reads from its socket straight into it and
 * then takes frame by frame out of it; a frame that lies whole in the buffer
 * is handed out in place.
 */
#ifndef TF_WIRE_FRAMER_H
#define TF_WIRE_FRAMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAMER_HEADER_MAX 8

typedef struct Framer {
    bool vnet;       /* frames carry vnet_hdr_len */
    bool records;    /* records may occur; else their lengths are oversize */
    uint8_t *buffer; /* owned */
    size_t size;     /* of @buffer */
    size_t start;    /* first byte not yet taken */
    size_t end;      /* behind the last byte read */
} Framer;

typedef enum FramerResult {
    FRAMER_FRAME,     /* one frame was handed out */
    FRAMER_RECORD,    /* a record was: what is behind its length word */
    FRAMER_MORE,      /* the frame is not complete: read on */
    FRAMER_OVERSIZE,  /* payload_len is above PACKET_MAX_LEN */
    FRAMER_MALFORMED, /* vnet_hdr_len does not fit the payload */
} FramerResult;

typedef struct FramerFrame {
    const uint8_t *payload; /* valid until the next framer_room() */
    uint32_t len;
    uint32_t vnet_hdr_len; /* 0 without vnet */
} FramerFrame;

/* @size must hold the largest frame with its header. */
void framer_init(Framer *framer, bool vnet, size_t size);
void framer_free(Framer *framer);

/* Discards all that was read. */
void framer_reset(Framer *framer);

/* The stream has ended: discards an incomplete frame, and keeps complete ones
 * that were not taken yet. */
void framer_end_stream(Framer *framer);

/* Where to read to, and *@room (> 0) bytes of it. Moves an incomplete frame to
 * the front of the buffer when the room behind it gets short. */
uint8_t *framer_room(Framer *framer, size_t *room);

/* @n bytes were read into the room. */
void framer_filled(Framer *framer, size_t n);

/* Takes the next frame. After OVERSIZE or MALFORMED, which set the lengths of
 * @frame as the peer gave them, only a reset helps. */
FramerResult framer_next(Framer *framer, FramerFrame *frame);

/* Bytes of the frame without vnet headers that begins at @bytes, its length
 * included. */
size_t framer_frame_len(const uint8_t *bytes);

/* Writes the header of a frame into @header (FRAMER_HEADER_MAX bytes) and
 * returns its length. @payload_len includes @vnet_hdr_len. */
size_t framer_header(uint8_t *header, bool vnet, uint32_t payload_len,
                     uint32_t vnet_hdr_len);

#endif
