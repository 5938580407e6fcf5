/* SPDX-License-Identifier: BSD-2-Clause */
/* What was drained at the destination, what was delivered at the source, and
 * the word between them. */
#include "switchover/dedup.h"
#include "switchover/delivered.h"
#include "switchover/sieve.h"
#include "wire/link-delivered.h"

#include <string.h>

#include <glib.h>

#define MS 1000
#define SECOND 1000000
#define LIMIT (16 * 1024 * 1024)

typedef struct Bytes {
    uint8_t bytes[64];
} Bytes;

static Packet frame(Bytes *bytes, bool group, unsigned number)
{
    memset(bytes, 0, sizeof(*bytes));
    memset(bytes->bytes, group ? 0xff : 0x52, 6);
    memcpy(bytes->bytes + 20, &number, sizeof(number));
    return (Packet){.data = bytes->bytes, .len = sizeof(bytes->bytes)};
}

static uint64_t digest_of(bool group, unsigned number)
{
    uint8_t scratch[64];
    Bytes bytes;
    Packet packet = frame(&bytes, group, number);

    return sieve_digest(&packet, scratch);
}

static void add_of_queue(Sieve *sieve, uint16_t queue, bool group,
                         unsigned number, int64_t now_us)
{
    Bytes bytes;
    Packet packet = frame(&bytes, group, number);

    packet.queue = queue;
    sieve_add(sieve, &packet, now_us);
}

static void add(Sieve *sieve, bool group, unsigned number, int64_t now_us)
{
    add_of_queue(sieve, 0, group, number, now_us);
}

/* The source says @n frames of its list, and that there are @rest more. */
static bool hear_some(Sieve *sieve, const LinkDigest *digests, unsigned n,
                      uint64_t rest, uint64_t memory_us, int64_t now_us)
{
    uint8_t body[LINK_DELIVERED_MAX];
    size_t len = link_delivered_put(body, rest, memory_us, digests, n);
    LinkDelivered word;

    g_assert_true(link_delivered_parse(body, len, &word));
    if (!sieve_hear(sieve, &word)) {
        return false;
    }
    sieve_compare(sieve, now_us);
    return true;
}

static bool hear(Sieve *sieve, LinkDigest digest, uint64_t rest,
                 uint64_t memory_us, int64_t now_us)
{
    return hear_some(sieve, &digest, 1, rest, memory_us, now_us);
}

/* Its list is empty. */
static void hear_nothing(Sieve *sieve, uint64_t memory_us, int64_t now_us)
{
    uint8_t body[LINK_DELIVERED_MAX];
    size_t len = link_delivered_put(body, 0, memory_us, NULL, 0);
    LinkDelivered word;

    g_assert_true(link_delivered_parse(body, len, &word));
    g_assert_true(sieve_hear(sieve, &word));
    sieve_compare(sieve, now_us);
}

typedef struct Left {
    unsigned n;
    unsigned numbers[DEDUP_MAX];
} Left;

static void left_add(void *opaque, const Packet *packet)
{
    Left *left = opaque;

    memcpy(&left->numbers[left->n++], packet->data + 20, sizeof(unsigned));
}

/* What it gives back is these frames, in order. */
static void check_taken(Sieve *sieve, bool groups, const unsigned *numbers,
                        unsigned n)
{
    Left left = {0};

    sieve_take(sieve, groups, left_add, &left);
    sieve_trim(sieve);
    g_assert_cmpmem(left.numbers, left.n * sizeof(unsigned), numbers,
                    n * sizeof(unsigned));
}

#define CHECK_TAKEN(sieve, groups, ...)                                        \
    check_taken(sieve, groups, (unsigned[]){__VA_ARGS__},                      \
                sizeof((unsigned[]){__VA_ARGS__}) / sizeof(unsigned))

/* ... and these are the last of it. */
static void check_empty(Sieve *sieve)
{
    check_taken(sieve, true, NULL, 0);
    g_assert_cmpuint(sieve_waiting(sieve).packets, ==, 0);
    g_assert_cmpuint(sieve_waiting(sieve).bytes, ==, 0);
    sieve_free(sieve);
}

#define CHECK_LEFT(sieve, ...)                                                 \
    do {                                                                       \
        CHECK_TAKEN(sieve, true, __VA_ARGS__);                                 \
        check_empty(sieve);                                                    \
    } while (0)

/* What the guest got at the source does not come again; all else does. */
static void test_delivered(void)
{
    Sieve *sieve = sieve_new(LIMIT);
    int64_t now = SECOND + 10 * MS;

    for (unsigned i = 0; i < 6; i++) {
        add(sieve, i % 2, i, SECOND + i * MS);
    }
    g_assert_false(hear(sieve, (LinkDigest){digest_of(false, 0), 10 * MS}, 1,
                        SECOND, now));
    g_assert_cmpuint(sieve_waiting(sieve).packets, ==, 6);
    g_assert_true(
        hear(sieve, (LinkDigest){digest_of(true, 1), 8 * MS}, 0, SECOND, now));
    g_assert_cmpuint(sieve_stale(sieve).packets, ==, 2);
    g_assert_cmpuint(sieve_stale(sieve).bytes, ==, 128);
    CHECK_LEFT(sieve, 2, 3, 4, 5);
}

/* The list is told anew on another connection: what the last one left of it
 * does not count. */
static void test_told_anew(void)
{
    Sieve *sieve = sieve_new(LIMIT);
    const LinkDigest digests[] = {{digest_of(false, 1), 0},
                                  {digest_of(false, 2), 0}};

    add(sieve, false, 1, SECOND);
    add(sieve, false, 2, SECOND);
    add(sieve, false, 3, SECOND);
    g_assert_false(hear(sieve, digests[0], 5, UINT64_MAX, SECOND));
    g_assert_true(hear_some(sieve, digests, 2, 0, UINT64_MAX, SECOND));
    CHECK_LEFT(sieve, 3);
}

/* Frames that are the same, while those that have no like are found on both
 * hosts: as many are copies as the guest had. */
static void test_identical(void)
{
    Sieve *sieve = sieve_new(LIMIT);
    const LinkDigest digests[] = {{digest_of(false, 2), 3 * MS},
                                  {digest_of(false, 1), 2 * MS}};

    add(sieve, false, 2, SECOND);
    add(sieve, false, 1, SECOND);
    add(sieve, false, 1, SECOND + MS);
    add(sieve, false, 1, SECOND + 2 * MS);
    g_assert_true(hear_some(sieve, digests, 2, 0, UINT64_MAX, SECOND + 2 * MS));
    CHECK_LEFT(sieve, 1, 1);
}

/* And while those are not: the network has learned, and none is a copy. */
static void test_identical_here_alone(void)
{
    Sieve *sieve = sieve_new(LIMIT);
    const LinkDigest digests[] = {
        {digest_of(false, 4), 5 * MS}, /* was flooded */
        {digest_of(false, 2), 4 * MS},
        {digest_of(false, 1), 3 * MS},
        {digest_of(false, 1), 2 * MS},
    };

    add(sieve, false, 4, SECOND);
    add(sieve, false, 1, SECOND);
    add(sieve, false, 3, SECOND + MS);
    g_assert_true(hear_some(sieve, digests, 4, 0, UINT64_MAX, SECOND + 2 * MS));
    CHECK_LEFT(sieve, 1, 3);
}

/* What was put back and is drained once more goes before what the network
 * brought in between, wherever that lay. */
static void test_again(void)
{
    Sieve *sieve = sieve_new(LIMIT);

    add(sieve, false, 1, SECOND);
    add(sieve, false, 2, SECOND);
    add(sieve, false, 2, SECOND);
    CHECK_TAKEN(sieve, true, 1, 2, 2);
    add(sieve, false, 3, SECOND);
    add(sieve, false, 1, SECOND);
    add(sieve, false, 2, SECOND);
    add(sieve, false, 4, SECOND);
    add(sieve, false, 2, SECOND);
    add(sieve, false, 2, SECOND);
    CHECK_TAKEN(sieve, true, 1, 2, 2, 3, 4, 2);
    add(sieve, false, 1, SECOND);
    add(sieve, false, 5, SECOND);
    add(sieve, false, 4, SECOND);
    CHECK_LEFT(sieve, 1, 4, 5);
}

/* The guest got one like it, but long before: unicast is another one then. */
static void test_time(void)
{
    Sieve *sieve = sieve_new(LIMIT);
    int64_t now = 30 * SECOND;
    LinkDigest unicast = {digest_of(false, 1), SIEVE_APART_US + 1};
    LinkDigest group = {digest_of(true, 2), 5 * SECOND};

    add(sieve, false, 1, now);
    add(sieve, true, 2, now);
    g_assert_false(hear(sieve, unicast, 1, 20 * SECOND, now));
    g_assert_true(hear(sieve, group, 0, 20 * SECOND, now));
    CHECK_LEFT(sieve, 1);
}

/* A frame to a group that came before one that the source's list has is older
 * than the list; unicast may have come here alone. */
static void test_before_the_list(void)
{
    Sieve *sieve = sieve_new(LIMIT);
    LinkDigest group = {digest_of(true, 3), 0};

    add(sieve, true, 1, SECOND);
    add(sieve, false, 2, SECOND);
    add(sieve, true, 3, SECOND);
    add(sieve, true, 4, SECOND);
    g_assert_true(hear(sieve, group, 0, SECOND, SECOND));
    g_assert_cmpuint(sieve_stale(sieve).packets, ==, 2);
    CHECK_LEFT(sieve, 2, 4);
}

/* One of several queues is drained behind the others, whatever came first; and
 * of the first frames of a queue it may not be known when they came. */
static void test_before_the_list_in_other_queues(void)
{
    Sieve *sieve = sieve_new(LIMIT);
    const LinkDigest groups[] = {{digest_of(true, 4), 0},
                                 {digest_of(true, 8), 0}};

    add_of_queue(sieve, 1, true, 4, SECOND + 4);
    add_of_queue(sieve, 1, true, 5, SECOND + 5);
    add_of_queue(sieve, 0, true, 1, SECOND + 1);
    add_of_queue(sieve, 0, false, 2, SECOND + 2);
    add_of_queue(sieve, 0, true, 6, SECOND + 6);
    add_of_queue(sieve, 2, true, 3, SECOND + 7);
    add_of_queue(sieve, 2, true, 8, SECOND + 8);
    add_of_queue(sieve, 2, true, 9, SECOND + 9);
    g_assert_true(hear_some(sieve, groups, 2, 0, SECOND, SECOND + 10));
    g_assert_cmpuint(sieve_stale(sieve).packets, ==, 4);
    CHECK_LEFT(sieve, 5, 2, 6, 9);
}

/* Older than what the source remembers: it ran then. */
static void test_memory(void)
{
    Sieve *sieve = sieve_new(LIMIT);
    int64_t now = 10 * SECOND;

    add(sieve, true, 1, now - 2 * SECOND);
    add(sieve, false, 2, now - 2 * SECOND);
    add(sieve, true, 3, now - SIEVE_APART_US / 2);
    add(sieve, false, 4, now - SIEVE_APART_US / 2);
    add(sieve, true, 5, now - 100 * MS);
    hear_nothing(sieve, 100 * MS, now);
    g_assert_cmpuint(sieve_stale(sieve).packets, ==, 3);
    CHECK_LEFT(sieve, 4, 5);
}

/* A source that knows nothing of what its guest got. */
static void test_no_memory(void)
{
    Sieve *sieve = sieve_new(LIMIT);

    add(sieve, true, 1, 0);
    add(sieve, false, 2, SECOND);
    hear_nothing(sieve, UINT64_MAX, 100 * (int64_t)SECOND);
    g_assert_cmpuint(sieve_stale(sieve).packets, ==, 0);
    CHECK_LEFT(sieve, 1, 2);
}

/* The VM runs before the word has come. */
static void test_unicast_first(void)
{
    Sieve *sieve = sieve_new(LIMIT);

    add(sieve, true, 1, SECOND);
    add(sieve, false, 2, SECOND);
    add(sieve, true, 3, SECOND);
    add(sieve, false, 4, SECOND);
    CHECK_TAKEN(sieve, false, 2, 4);
    g_assert_cmpuint(sieve_waiting(sieve).packets, ==, 2);
    g_assert_true(
        hear(sieve, (LinkDigest){digest_of(true, 1), 0}, 0, SECOND, SECOND));
    CHECK_LEFT(sieve, 3);
}

static void test_bounds(void)
{
    Sieve *sieve = sieve_new(LIMIT);

    for (unsigned i = 0; i <= DEDUP_MAX; i++) {
        add(sieve, true, i, SECOND);
    }
    g_assert_cmpuint(sieve_stale(sieve).packets, ==, 1);
    /* It knows the first one no more. */
    g_assert_false(
        hear(sieve, (LinkDigest){digest_of(true, 0), 0}, 1, SECOND, SECOND));
    g_assert_cmpuint(sieve_stale(sieve).packets, ==, 1);
    sieve_clear(sieve);
    g_assert_cmpuint(sieve_stale(sieve).packets, ==, DEDUP_MAX + 1);
    add(sieve, true, 7, SECOND);
    CHECK_LEFT(sieve, 7);

    sieve = sieve_new(1000);
    for (unsigned i = 0; i < 100; i++) {
        add(sieve, true, i, SECOND);
    }
    g_assert_cmpuint(sieve_waiting(sieve).packets, >, 0);
    g_assert_cmpuint(sieve_waiting(sieve).bytes, <=, 1000);
    g_assert_cmpuint(sieve_waiting(sieve).packets + sieve_stale(sieve).packets,
                     ==, 100);
    sieve_free(sieve);
}

/* The source's memory: the last ones that were seen. */
static void test_remembered(void)
{
    g_autofree LinkDigest *list = g_new(LinkDigest, DELIVERED_MAX);
    Delivered *delivered = delivered_new();
    Bytes bytes;

    delivered_begin(delivered, 5, SECOND);
    g_assert_cmpuint(delivered_memory_us(delivered, SECOND + MS), ==, MS);
    for (unsigned i = 5; i < 12; i++) {
        Packet packet = frame(&bytes, false, i);

        if (i != 9) {
            delivered_add(delivered, i, &packet, SECOND + i * MS);
        }
    }
    delivered_forget(delivered, 11);
    delivered_forget(delivered, 4);  /* not remembered */
    delivered_forget(delivered, 12); /* not yet */
    g_assert_cmpuint(delivered_list(delivered, SECOND + 20 * MS, list), ==, 5);
    g_assert_cmpuint(list[4].digest, ==, digest_of(false, 10));
    g_assert_cmpuint(list[4].age_us, ==, 10 * MS);
    for (unsigned i = 12; i < 12 + DELIVERED_MAX; i++) {
        Packet packet = frame(&bytes, false, i);

        delivered_add(delivered, i, &packet, 2 * SECOND + i);
    }
    /* The last one forgotten was captured at SECOND + 11 * MS. */
    g_assert_cmpuint(delivered_memory_us(delivered, 3 * SECOND), ==,
                     2 * SECOND - 11 * MS);
    g_assert_cmpuint(delivered_list(delivered, 3 * SECOND, list), ==,
                     DELIVERED_MAX);
    g_assert_cmpuint(list[0].digest, ==, digest_of(false, 12));
    g_assert_cmpuint(
        delivered_list(delivered, 3 * SECOND + DELIVERED_WINDOW_US, list), ==,
        0);
    g_assert_cmpuint(delivered_memory_us(delivered, 60 * SECOND), ==,
                     DELIVERED_WINDOW_US);
    delivered_free(delivered);
}

/* A gap larger than what it remembers. */
static void test_forgotten(void)
{
    g_autofree LinkDigest *list = g_new(LinkDigest, DELIVERED_MAX);
    Delivered *delivered = delivered_new();
    Bytes bytes;
    Packet packet = frame(&bytes, false, 1);

    delivered_begin(delivered, 0, SECOND);
    delivered_add(delivered, 0, &packet, SECOND);
    delivered_add(delivered, 2 * DELIVERED_MAX, &packet, 2 * SECOND);
    g_assert_cmpuint(delivered_memory_us(delivered, 2 * SECOND), ==, 0);
    g_assert_cmpuint(delivered_list(delivered, 2 * SECOND, list), ==, 1);
    delivered_free(delivered);
}

static void test_word(void)
{
    const LinkDigest digests[] = {{1, 2}, {UINT64_MAX, 3}};
    uint8_t body[LINK_DELIVERED_MAX];
    size_t len = link_delivered_put(body, 5, 77, digests, 2);
    LinkDelivered word;
    LinkDigest digest;

    g_assert_cmpuint(len, ==, 48);
    for (size_t i = 0; i < 16; i++) {
        g_assert_false(link_delivered_parse(body, i, &word));
    }
    g_assert_true(link_delivered_parse(body, len - 1, &word));
    g_assert_cmpuint(word.frames, ==, 1);
    g_assert_true(link_delivered_parse(body, len, &word));
    g_assert_cmpuint(word.rest, ==, 5);
    g_assert_cmpuint(word.memory_us, ==, 77);
    for (unsigned i = 0; i < 2; i++) {
        g_assert_true(link_delivered_next(&word, &digest));
        g_assert_cmpmem(&digest, sizeof(digest), &digests[i], sizeof(digest));
    }
    g_assert_false(link_delivered_next(&word, &digest));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sieve/delivered", test_delivered);
    g_test_add_func("/sieve/identical", test_identical);
    g_test_add_func("/sieve/identical-here-alone", test_identical_here_alone);
    g_test_add_func("/sieve/told-anew", test_told_anew);
    g_test_add_func("/sieve/again", test_again);
    g_test_add_func("/sieve/time", test_time);
    g_test_add_func("/sieve/before-the-list", test_before_the_list);
    g_test_add_func("/sieve/before-the-list-in-other-queues",
                    test_before_the_list_in_other_queues);
    g_test_add_func("/sieve/memory", test_memory);
    g_test_add_func("/sieve/no-memory", test_no_memory);
    g_test_add_func("/sieve/unicast-first", test_unicast_first);
    g_test_add_func("/sieve/bounds", test_bounds);
    g_test_add_func("/sieve/remembered", test_remembered);
    g_test_add_func("/sieve/forgotten", test_forgotten);
    g_test_add_func("/sieve/word", test_word);
    return g_test_run();
}
