/* SPDX-License-Identifier: BSD-2-Clause */
#include "wire/framer.h"

#include "packet/packet.h"
#include "wire/link-record.h"

#include <string.h>

#include <glib.h>

static uint32_t framer_get32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 |
           (uint32_t)bytes[2] << 8 | bytes[3];
}

static void framer_put32(uint8_t *bytes, uint32_t value)
{
    bytes[0] = (uint8_t)(value >> 24);
    bytes[1] = (uint8_t)(value >> 16);
    bytes[2] = (uint8_t)(value >> 8);
    bytes[3] = (uint8_t)value;
}

void framer_init(Framer *framer, bool vnet, size_t size)
{
    g_assert(size >= FRAMER_HEADER_MAX + PACKET_MAX_LEN);
    *framer = (Framer){.vnet = vnet, .buffer = g_malloc(size), .size = size};
}

void framer_free(Framer *framer)
{
    g_clear_pointer(&framer->buffer, g_free);
    framer->size = 0;
    framer_reset(framer);
}

void framer_reset(Framer *framer)
{
    framer->start = 0;
    framer->end = 0;
}

uint8_t *framer_room(Framer *framer, size_t *room)
{
    if (framer->start == framer->end) {
        framer_reset(framer);
    } else if (framer->size - framer->start <
               FRAMER_HEADER_MAX + PACKET_MAX_LEN) {
        /* What is left is part of one frame, if all whole ones were taken. */
        framer->end -= framer->start;
        memmove(framer->buffer, framer->buffer + framer->start, framer->end);
        framer->start = 0;
    }
    *room = framer->size - framer->end;
    g_assert(*room > 0);
    return framer->buffer + framer->end;
}

void framer_filled(Framer *framer, size_t n)
{
    g_assert(n <= framer->size - framer->end);
    framer->end += n;
}

static FramerResult framer_next_record(Framer *framer, FramerFrame *record)
{
    size_t have = framer->end - framer->start;

    if ((record->len & ~LINK_RECORD_BIT) > LINK_BODY_MAX) {
        return FRAMER_OVERSIZE;
    }
    record->len &= ~LINK_RECORD_BIT;
    if (have < 4 + record->len) {
        return FRAMER_MORE;
    }
    record->payload = framer->buffer + framer->start + 4;
    framer->start += 4 + record->len;
    return FRAMER_RECORD;
}

FramerResult framer_next(Framer *framer, FramerFrame *frame)
{
    const uint8_t *bytes = framer->buffer + framer->start;
    size_t have = framer->end - framer->start;
    size_t header = framer->vnet ? 8 : 4;

    *frame = (FramerFrame){.payload = NULL};
    if (have < 4) {
        return FRAMER_MORE;
    }
    frame->len = framer_get32(bytes);
    if (framer->records && (frame->len & LINK_RECORD_BIT)) {
        return framer_next_record(framer, frame);
    }
    if (frame->len > PACKET_MAX_LEN) {
        return FRAMER_OVERSIZE;
    }
    if (have < header) {
        return FRAMER_MORE;
    }
    frame->vnet_hdr_len = framer->vnet ? framer_get32(bytes + 4) : 0;
    if (frame->vnet_hdr_len > frame->len) {
        return FRAMER_MALFORMED;
    }
    if (have < header + frame->len) {
        return FRAMER_MORE;
    }
    frame->payload = bytes + header;
    framer->start += header + frame->len;
    return FRAMER_FRAME;
}

void framer_end_stream(Framer *framer)
{
    Framer probe = *framer;
    FramerFrame frame;

    while (framer_next(&probe, &frame) <= FRAMER_RECORD) {
    }
    framer->end = probe.start;
}

size_t framer_frame_len(const uint8_t *bytes)
{
    return (size_t)4 + framer_get32(bytes);
}

size_t framer_header(uint8_t *header, bool vnet, uint32_t payload_len,
                     uint32_t vnet_hdr_len)
{
    framer_put32(header, payload_len);
    if (!vnet) {
        return 4;
    }
    framer_put32(header + 4, vnet_hdr_len);
    return 8;
}
