/* SPDX-License-Identifier: BSD-2-Clause */
/* Loops of a link: what comes out of a stream, and what is made ready for
 * one. */
#include "loops.h"
#include "packet/queue.h"
#include "wire/framer.h"

#include <string.h>

#include <glib.h>

#define BUFFER_SIZE (256u * 1024)

typedef struct Link {
    PacketBatch batch;
    Framer framer;
    PacketQueue queue;
    GByteArray *stream;
} Link;

/* One read's worth after the other, as far as the stream goes. */
static void link_parse(void *opaque)
{
    Link *self = opaque;
    unsigned frames = 0;

    for (size_t at = 0; at < self->stream->len;) {
        FramerFrame frame;
        size_t room;
        uint8_t *to = framer_room(&self->framer, &room);
        size_t n = MIN(room, self->stream->len - at);

        memcpy(to, self->stream->data + at, n);
        framer_filled(&self->framer, n);
        at += n;
        while (framer_next(&self->framer, &frame) == FRAMER_FRAME) {
            frames++;
        }
    }
    g_assert_cmpuint(frames, ==, LOOP_FRAMES);
}

void loop_framer_parse(void)
{
    Link self = {.stream = g_byte_array_new()};

    loop_make_batch(&self.batch);
    framer_init(&self.framer, false, BUFFER_SIZE);
    for (unsigned i = 0; i < LOOP_FRAMES; i++) {
        const Packet *packet = &self.batch.packets[i % self.batch.n];
        uint8_t header[FRAMER_HEADER_MAX];
        size_t n = framer_header(header, false, packet->len, 0);

        g_byte_array_append(self.stream, header, (guint)n);
        g_byte_array_append(self.stream, packet->data, packet->len);
    }
    loop_count(link_parse, &self);
    framer_free(&self.framer);
    g_byte_array_free(self.stream, TRUE);
}

/* A batch goes into the queue, gets its headers, and leaves. */
static void link_queue(void *opaque)
{
    Link *self = opaque;

    for (unsigned n = 0; n < LOOP_FRAMES; n += self->batch.n) {
        PacketRecord *record;
        PacketCursor cursor;

        for (unsigned i = 0; i < self->batch.n; i++) {
            packet_queue_append(&self->queue, &self->batch.packets[i]);
        }
        cursor = packet_queue_head(&self->queue);
        while ((record = packet_queue_at(&self->queue, &cursor))) {
            framer_header(record->headroom, false, record->len, 0);
            packet_cursor_advance(&cursor);
        }
        while (packet_queue_count(&self->queue) > 0) {
            packet_queue_pop(&self->queue);
        }
    }
}

void loop_framer_write(void)
{
    Link self = {0};

    loop_make_batch(&self.batch);
    packet_queue_init(&self.queue);
    loop_count(link_queue, &self);
    packet_queue_free(&self.queue);
}
