/* SPDX-License-Identifier: BSD-2-Clause */
#include "packet/packet.h"
#include "wire/framer.h"
#include "wire/link-receiver.h"
#include "wire/link-sender.h"

#include <string.h>

#include <glib.h>

/* Byte formats */

static void test_format(void)
{
    static const uint8_t bytes[] = {0x80, 0, 0, 17, LINK_ACK, 0, 0, 0, 0, 0, 0,
                                    1,    2, 0, 0,  0,        0, 0, 0, 0, 7};
    LinkRecord record = {.type = LINK_ACK, .next = 0x102, .settled = 7};
    uint8_t out[LINK_RECORD_MAX];

    g_assert_cmpmem(out, link_record_put(out, &record), bytes, sizeof(bytes));
    g_assert_true(link_record_parse(bytes + 4, 17, &record));
    g_assert_cmpint(record.type, ==, LINK_ACK);
    g_assert_cmpuint(record.next, ==, 0x102);
    g_assert_cmpuint(record.settled, ==, 7);
    /* Fields are missing; one more is known later; a type is. */
    g_assert_false(link_record_parse(bytes + 4, 16, &record));
    g_assert_false(link_record_parse(bytes + 4, 0, &record));
    memcpy(out, bytes + 4, 17);
    g_assert_true(link_record_parse(out, 30, &record));
    out[0] = 99;
    g_assert_true(link_record_parse(out, 1, &record));
    g_assert_cmpint(record.type, ==, 99);
    g_assert_cmpuint(record.next, ==, 0);
}

static void test_all_types(void)
{
    for (int type = LINK_STATE; type <= LINK_PIECES; type++) {
        LinkRecord record = {.type = (LinkType)type,
                             .epoch = 1,
                             .session = UINT64_MAX,
                             .next = 3,
                             .settled = 4,
                             .digest = 5,
                             .lost = 6},
                   again, third;
        uint8_t bytes[LINK_RECORD_MAX];
        size_t n = link_record_put(bytes, &record);

        g_assert_cmpuint(n, <=, LINK_RECORD_MAX);
        g_assert_true(link_record_parse(bytes + 4, n - 4, &again));
        g_assert_cmpuint(link_record_put(bytes, &again), ==, n);
        g_assert_true(link_record_parse(bytes + 4, n - 4, &third));
        g_assert_cmpmem(&again, sizeof(again), &third, sizeof(third));
    }
}

static void test_input(void)
{
    LinkRecord record = {.type = LINK_STATE, .epoch = 9}, seen;
    LinkInput input = {.have = 0};
    uint8_t bytes[3 * LINK_RECORD_MAX];
    size_t len = link_record_put(bytes, &record), left;
    const uint8_t *at;

    record = (LinkRecord){.type = LINK_ACK, .next = 11};
    len += link_record_put(bytes + len, &record);
    for (size_t step = 1; step <= len; step++) {
        unsigned states = 0, acks = 0;

        for (size_t i = 0; i < len; i += step) {
            LinkResult result;

            at = bytes + i;
            left = MIN(step, len - i);
            while ((result = link_input_take(&input, &at, &left, &seen)) ==
                   LINK_RECORD) {
                states += seen.type == LINK_STATE && seen.epoch == 9;
                acks += seen.type == LINK_ACK && seen.next == 11;
            }
            g_assert_cmpint(result, ==, LINK_MORE);
            g_assert_cmpuint(left, ==, 0);
        }
        g_assert_cmpuint(states, ==, 1);
        g_assert_cmpuint(acks, ==, 1);
    }
}

static void test_garbage(void)
{
    static const uint8_t frame[] = {0, 0, 0, 1, 'x'};
    static const uint8_t huge[] = {0x80, 0, 0x10, 1};
    static const uint8_t empty[] = {0x80, 0, 0, 0};
    const struct {
        const uint8_t *bytes;
        size_t n;
    } cases[] = {{frame, 5}, {huge, 4}, {empty, 4}};

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        LinkInput input = {.have = 0};
        const uint8_t *at = cases[i].bytes;
        size_t left = cases[i].n;
        LinkRecord record;

        g_assert_cmpint(link_input_take(&input, &at, &left, &record), ==,
                        LINK_GARBAGE);
    }
}

static void framer_feed(Framer *framer, const uint8_t *bytes, size_t n)
{
    size_t room;

    memcpy(framer_room(framer, &room), bytes, n);
    g_assert_cmpuint(n, <=, room);
    framer_filled(framer, n);
}

/* Records between frames, with and without headers, byte by byte. */
static void test_framer(gconstpointer data)
{
    bool vnet = GPOINTER_TO_INT(data);
    uint8_t stream[64] = {0};
    LinkRecord record = {.type = LINK_CANCELLED};
    size_t len = framer_header(stream, vnet, 2, 0) + 2;
    Framer framer;
    FramerFrame frame;
    unsigned frames = 0, records = 0;

    len += link_record_put(stream + len, &record);
    len += framer_header(stream + len, vnet, 1, 0) + 1;
    framer_init(&framer, vnet, 2 * PACKET_MAX_LEN);
    framer.records = true;
    for (size_t i = 0; i < len; i++) {
        FramerResult result;

        framer_feed(&framer, stream + i, 1);
        while ((result = framer_next(&framer, &frame)) != FRAMER_MORE) {
            if (result == FRAMER_RECORD) {
                g_assert_cmpuint(frame.len, ==, 1);
                g_assert_cmpuint(frame.payload[0], ==, LINK_CANCELLED);
                records++;
            } else {
                g_assert_cmpint(result, ==, FRAMER_FRAME);
                g_assert_cmpuint(frame.len, ==, records ? 1 : 2);
                frames++;
            }
        }
    }
    g_assert_cmpuint(frames, ==, 2);
    g_assert_cmpuint(records, ==, 1);
    /* One that is too long is nothing; nor is any where there can be none. */
    framer_feed(&framer, (const uint8_t *)"\x80\x00\x10\x01", 4);
    g_assert_cmpint(framer_next(&framer, &frame), ==, FRAMER_OVERSIZE);
    framer_reset(&framer);
    framer.records = false;
    framer_feed(&framer, (const uint8_t *)"\x80\x00\x00\x01", 4);
    g_assert_cmpint(framer_next(&framer, &frame), ==, FRAMER_OVERSIZE);
    framer_free(&framer);
}

static void test_tail(void)
{
    LinkTail tail = {0}, other = {0};

    g_assert_cmpuint(link_tail_digest(&tail), ==, 0);
    for (uint8_t i = 0; i < 100; i++) {
        link_tail_add(&tail, &i, 1);
        if (i >= 100 - LINK_TAIL) {
            link_tail_add(&other, &i, 1);
        }
    }
    g_assert_cmpuint(link_tail_digest(&tail), ==, link_tail_digest(&other));
    link_tail_add(&other, (const uint8_t *)"x", 1);
    g_assert_cmpuint(link_tail_digest(&tail), !=, link_tail_digest(&other));
}

/* Both ends, with a connection that breaks between them: frame number n is the
 * number n itself. */

typedef struct World {
    LinkSender sender;
    LinkReceiver receiver;
    uint64_t oldest, sent; /* the sender's */
    GArray *got;           /* by the receiver, whoever it is */
    uint64_t held;         /* of these, without a place yet */
} World;

static uint64_t world_digest(void *opaque, uint64_t number, uint64_t count)
{
    LinkTail tail = {0};

    (void)opaque;
    for (uint64_t i = number - MIN(count, LINK_TAIL); i < number; i++) {
        link_tail_add(&tail, (const uint8_t *)&i, sizeof(i));
    }
    return link_tail_digest(&tail);
}

static World *world_new(void)
{
    World *world = g_new0(World, 1);

    link_receiver_init(&world->receiver);
    world->got = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    return world;
}

static void world_free(World *world)
{
    g_array_unref(world->got);
    g_free(world);
}

/* Sends @n frames, of which the first @arrive do. */
static void world_send(World *world, unsigned n, unsigned arrive)
{
    for (unsigned i = 0; i < n; i++, world->sent++) {
        if (i < arrive) {
            link_receiver_frame(&world->receiver, (const uint8_t *)&world->sent,
                                sizeof(world->sent));
            g_array_append_val(world->got, world->sent);
        }
    }
}

static void world_ack(World *world)
{
    LinkRecord ack;

    if (link_receiver_ack(&world->receiver, world->held, &ack)) {
        link_sender_ack(&world->sender, &ack, world->sent);
    }
}

/* A new connection, on which both answer each other; @answer may not arrive. */
static LinkRecord world_connect(World *world, bool eager, bool arrives)
{
    LinkStock stock = {.digest = world_digest};
    LinkRecord state, answer = {0};

    link_sender_closed(&world->sender);
    link_receiver_closed(&world->receiver);
    if (!link_sender_opened(&world->sender, eager,
                            world->sent > world->sender.origin)) {
        link_sender_plain(&world->sender, world->sent);
        link_receiver_plain(&world->receiver);
        return answer;
    }
    stock.oldest = world->oldest;
    stock.sent = stock.reach = world->sent;
    link_receiver_state(&world->receiver, world->held, &state);
    world->sent = link_sender_answered(&world->sender, &state, &stock, &answer);
    g_assert_cmpint(world->sender.phase, ==, LINK_ACKED);
    if (arrives) {
        link_receiver_session(&world->receiver, &answer);
    }
    return answer;
}

static void world_check(const World *world, uint64_t n)
{
    g_assert_cmpuint(world->got->len, ==, n);
    for (uint64_t i = 0; i < n; i++) {
        g_assert_cmpuint(g_array_index(world->got, uint64_t, i), ==, i);
    }
}

/* The connection breaks again and again, at any place: all frames arrive, once
 * each. */
static void test_breaks(gconstpointer data)
{
    bool eager = GPOINTER_TO_INT(data);

    for (int round = 0; round < 200; round++) {
        World *world = world_new();

        for (int i = 0; i < 20; i++) {
            unsigned n = (unsigned)g_test_rand_int_range(0, 40);
            bool arrives = g_test_rand_int_range(0, 4) > 0;
            LinkRecord answer = world_connect(world, eager, arrives);
            /* Without the answer nothing behind it arrives. */
            bool deaf = answer.type == LINK_SESSION && !arrives;

            world_send(world, n,
                       deaf ? 0
                            : (unsigned)g_test_rand_int_range(0, (int)n + 1));
            if (g_test_rand_bit()) {
                world_ack(world);
            }
            /* What is settled may be gone; nothing is held here. */
            world->oldest = MIN(world->sender.settled, world->sent);
        }
        world_connect(world, eager, true);
        world_send(world, 10, 10);
        world_ack(world);
        world_check(world, world->sent);
        g_assert_cmpuint(world->sender.lost, ==, 0);
        g_assert_cmpuint(world->sender.repeated, ==, 0);
        g_assert_cmpuint(world->receiver.lost, ==, 0);
        if (world->sender.phase == LINK_ACKED) {
            g_assert_cmpuint(world->sender.received, ==, world->sent);
        }
        world_free(world);
    }
}

/* Another receiver gets what the last one had not settled. */
static void test_new_receiver(gconstpointer data)
{
    bool eager = GPOINTER_TO_INT(data);
    World *world = world_new();

    world_connect(world, eager, true);
    world_send(world, 100, 90);
    world->held = 30;
    if (!eager) {
        world_connect(world, eager, true);
        world_send(world, 10, 0);
    }
    world_ack(world);
    g_assert_cmpuint(world->sender.settled, ==, 60);
    g_assert_cmpuint(world->sender.received, ==, 90);
    link_receiver_init(&world->receiver);
    g_array_set_size(world->got, 60);
    world_connect(world, eager, true);
    g_assert_cmpuint(world->sent, ==, 60);
    g_assert_cmpuint(world->receiver.next, ==, 60);
    g_assert_cmpuint(world->sender.repeated, ==, 40);
    world_send(world, 50, 50);
    world_check(world, 110);
    world_free(world);
}

/* Another sender follows one that did not take its leave, or did. */
static void test_vanished(void)
{
    LinkReceiver receiver;
    LinkRecord session = {.type = LINK_SESSION, .session = 1};

    link_receiver_init(&receiver);
    g_assert_false(link_receiver_session(&receiver, &session));
    session.session = 2; /* nothing had come of the first one */
    g_assert_false(link_receiver_session(&receiver, &session));
    link_receiver_frame(&receiver, (const uint8_t *)"frame", 5);
    session.next = 1; /* the same one, on another connection */
    g_assert_false(link_receiver_session(&receiver, &session));
    session = (LinkRecord){.type = LINK_SESSION, .session = 3};
    g_assert_true(link_receiver_session(&receiver, &session));
    g_assert_cmpuint(receiver.vanished, ==, 1);
    link_receiver_frame(&receiver, (const uint8_t *)"frame", 5);
    link_receiver_settle(&receiver);
    session.session = 4;
    g_assert_false(link_receiver_session(&receiver, &session));
    g_assert_cmpuint(receiver.vanished, ==, 1);
}

/* A receiver that is not ours: its count and its digest say nothing to us. */
static void test_stranger(void)
{
    World *world = world_new();

    world_connect(world, false, true);
    world_send(world, 20, 20);
    world->receiver.next = 10;
    world_connect(world, false, true);
    g_assert_cmpuint(world->sent, ==, 0);
    world->receiver.session ^= 1;
    world_connect(world, false, true);
    g_assert_cmpuint(world->sent, ==, 0);
    /* One that claims to have what never was. */
    world->receiver.session ^= 1;
    world->receiver.next = UINT64_MAX;
    world_connect(world, false, true);
    g_assert_cmpuint(world->sent, ==, 0);
    world_free(world);
}

/* What was not kept is counted by both. */
static void test_lost(void)
{
    World *world = world_new();
    LinkRecord answer;

    world_connect(world, true, true);
    world_send(world, 100, 40);
    world->oldest = 70;
    answer = world_connect(world, true, true);
    g_assert_cmpuint(answer.next, ==, 70);
    g_assert_cmpuint(answer.lost, ==, 30);
    g_assert_cmpuint(world->sender.lost, ==, 30);
    g_assert_cmpuint(world->receiver.lost, ==, 30);
    g_assert_cmpuint(world->receiver.next, ==, 70);
    world_free(world);
}

/* An acknowledgement of what was never sent, or one that goes back. */
static void test_false_acks(void)
{
    World *world = world_new();
    LinkRecord ack = {.type = LINK_ACK, .next = 1000, .settled = 2000};

    world_connect(world, true, true);
    world_send(world, 10, 10);
    link_sender_ack(&world->sender, &ack, world->sent);
    g_assert_cmpuint(world->sender.received, ==, 10);
    g_assert_cmpuint(world->sender.settled, ==, 10);
    ack.next = ack.settled = 0;
    link_sender_ack(&world->sender, &ack, world->sent);
    g_assert_cmpuint(world->sender.settled, ==, 10);
    world_free(world);
}

/* A migration is cancelled: what is void does not come again, and the word of
 * it is said until it must have been heard. */
static void test_cancel(void)
{
    World *world = world_new();
    LinkRecord answer;

    world_connect(world, true, true);
    world_send(world, 20, 10);
    link_sender_cancel(&world->sender, world->sent);
    answer = world_connect(world, true, true);
    g_assert_cmpuint(answer.next, ==, 20);
    g_assert_cmpuint(answer.lost, ==, 0);
    g_assert_true(link_sender_owes_cancel(&world->sender, &answer, false));
    world->oldest = world->sent;
    world_send(world, 10, 0);
    answer = world_connect(world, true, true);
    g_assert_cmpuint(answer.next, ==, 20);
    g_assert_true(link_sender_owes_cancel(&world->sender, &answer, true));
    world_send(world, 10, 5);
    answer = world_connect(world, true, true);
    g_assert_cmpuint(answer.next, ==, 25);
    g_assert_false(link_sender_owes_cancel(&world->sender, &answer, true));
    world_free(world);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/link/format", test_format);
    g_test_add_func("/link/all-types", test_all_types);
    g_test_add_func("/link/input", test_input);
    g_test_add_func("/link/garbage", test_garbage);
    g_test_add_data_func("/link/framer/plain", GINT_TO_POINTER(false),
                         test_framer);
    g_test_add_data_func("/link/framer/vnet", GINT_TO_POINTER(true),
                         test_framer);
    g_test_add_func("/link/tail", test_tail);
    g_test_add_data_func("/link/breaks/auto", GINT_TO_POINTER(false),
                         test_breaks);
    g_test_add_data_func("/link/breaks/on", GINT_TO_POINTER(true), test_breaks);
    g_test_add_data_func("/link/new-receiver/auto", GINT_TO_POINTER(false),
                         test_new_receiver);
    g_test_add_data_func("/link/new-receiver/on", GINT_TO_POINTER(true),
                         test_new_receiver);
    g_test_add_func("/link/vanished", test_vanished);
    g_test_add_func("/link/stranger", test_stranger);
    g_test_add_func("/link/lost", test_lost);
    g_test_add_func("/link/false-acks", test_false_acks);
    g_test_add_func("/link/cancel", test_cancel);
    return g_test_run();
}
