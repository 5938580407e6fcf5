/* SPDX-License-Identifier: BSD-2-Clause */
#include "switchover/dedup.h"

#include <string.h>

#include <glib.h>

/* Two identical frames stay two. */
static void test_multiset(void)
{
    Dedup *dedup = dedup_new();

    dedup_add(dedup, 7, 0);
    dedup_add(dedup, 7, 1);
    dedup_add(dedup, 7 + DEDUP_MAX, 2); /* the same bucket */
    g_assert_true(dedup_take(dedup, 7, 3));
    g_assert_true(dedup_take(dedup, 7, 3));
    g_assert_false(dedup_take(dedup, 7, 3));
    g_assert_true(dedup_take(dedup, 7 + DEDUP_MAX, 3));
    g_assert_false(dedup_take(dedup, 8, 3));
    dedup_add(dedup, 8, 3);
    dedup_clear(dedup);
    g_assert_false(dedup_take(dedup, 8, 3));
    dedup_free(dedup);
}

static void test_window(void)
{
    Dedup *dedup = dedup_new();

    dedup_add(dedup, 1, 0);
    g_assert_false(dedup_take(dedup, 1, DEDUP_WINDOW_US + 1));
    g_assert_true(dedup_take(dedup, 1, DEDUP_WINDOW_US));
    dedup_free(dedup);
}

/* Empty is what nothing can be taken out of, by whichever way it went. */
static void test_empty(void)
{
    Dedup *dedup = dedup_new();

    g_assert_true(dedup_is_empty(dedup, 0));
    dedup_add(dedup, 1, 0);
    dedup_add(dedup, 2, 5);
    g_assert_false(dedup_is_empty(dedup, 5 + DEDUP_WINDOW_US));
    g_assert_true(dedup_is_empty(dedup, 6 + DEDUP_WINDOW_US));
    g_assert_true(dedup_take(dedup, 1, 5));
    g_assert_false(dedup_is_empty(dedup, 5));
    g_assert_true(dedup_take(dedup, 2, 5));
    g_assert_true(dedup_is_empty(dedup, 5));
    dedup_add(dedup, 3, 5);
    dedup_forget_newest(dedup, 1);
    g_assert_true(dedup_is_empty(dedup, 5));
    dedup_add(dedup, 4, 5);
    dedup_forget_oldest(dedup, 1);
    g_assert_true(dedup_is_empty(dedup, 5));
    for (uint64_t i = 0; i < 2 * DEDUP_MAX; i++) {
        dedup_add(dedup, i, 5);
    }
    dedup_forget_newest(dedup, DEDUP_MAX);
    g_assert_true(dedup_is_empty(dedup, 5));
    dedup_free(dedup);
}

static void test_oldest(void)
{
    Dedup *dedup = dedup_new();

    for (uint64_t i = 0; i < 4; i++) {
        dedup_add(dedup, i, 0);
    }
    g_assert_true(dedup_take(dedup, 1, 0));
    dedup_forget_oldest(dedup, 2); /* 0 and 2: 1 is gone already */
    g_assert_false(dedup_take(dedup, 0, 0));
    g_assert_false(dedup_take(dedup, 2, 0));
    g_assert_true(dedup_take(dedup, 3, 0));
    dedup_forget_oldest(dedup, 100);
    dedup_free(dedup);
}

/* How often there was one, taken or not, unless it was not delivered. */
static void test_times(void)
{
    Dedup *dedup = dedup_new();

    dedup_add(dedup, 1, 0);
    dedup_add(dedup, 1 + DEDUP_MAX, 0);
    g_assert_cmpuint(dedup_times(dedup, 2, 0), ==, 0);
    g_assert_cmpuint(dedup_times(dedup, 1, 0), ==, 1);
    g_assert_true(dedup_take(dedup, 1, 0));
    g_assert_cmpuint(dedup_times(dedup, 1, 0), ==, 1);
    dedup_add(dedup, 1, 5);
    dedup_add(dedup, 1, 5);
    g_assert_cmpuint(dedup_times(dedup, 1, 5), ==, 2);
    g_assert_cmpint(dedup_remove(dedup, 1, 6), ==, 5);
    g_assert_cmpint(dedup_remove(dedup, 1, 7), ==, 5);
    g_assert_cmpint(dedup_remove(dedup, 1, 8), ==, 8); /* there is none left */
    g_assert_false(dedup_take(dedup, 1, 5));
    g_assert_cmpuint(dedup_times(dedup, 1, 5), ==, 1);
    g_assert_cmpuint(dedup_times(dedup, 1, DEDUP_WINDOW_US + 1), ==, 0);
    dedup_free(dedup);
}

/* The oldest make room, and a long run agrees with plain counting. */
static void test_full(void)
{
    g_autofree unsigned *counts = g_new0(unsigned, 64);
    Dedup *dedup = dedup_new();
    GRand *rand = g_rand_new_with_seed(4);

    for (uint64_t i = 0; i < DEDUP_MAX + 1; i++) {
        dedup_add(dedup, i, 0);
    }
    g_assert_false(dedup_take(dedup, 0, 0));
    g_assert_true(dedup_take(dedup, 1, 0));
    g_assert_true(dedup_take(dedup, DEDUP_MAX, 0));
    dedup_clear(dedup);
    for (int i = 0; i < DEDUP_MAX; i++) {
        unsigned digest = (unsigned)g_rand_int_range(rand, 0, 64);

        if (g_rand_boolean(rand)) {
            dedup_add(dedup, digest, i);
            counts[digest]++;
        } else {
            g_assert_cmpint(dedup_take(dedup, digest, i), ==,
                            counts[digest] > 0);
            counts[digest] -= counts[digest] > 0;
        }
    }
    g_rand_free(rand);
    dedup_free(dedup);
}

/* What found the queue full is forgotten, its like before it is not. */
static void test_newest(void)
{
    Dedup *dedup = dedup_new();

    for (uint64_t i = 0; i < 6; i++) {
        dedup_add(dedup, i % 3, 0);
    }
    g_assert_true(dedup_take(dedup, 0, 0)); /* the newer one, 3 */
    dedup_forget_newest(dedup, 2);
    for (uint64_t i = 0; i < 3; i++) {
        g_assert_true(dedup_take(dedup, i, 0));
        g_assert_false(dedup_take(dedup, i, 0));
    }
    dedup_forget_newest(dedup, 9);
    dedup_add(dedup, 1, 0);
    g_assert_true(dedup_take(dedup, 1, 0));
    dedup_free(dedup);
}

/* A checksum still to be computed is no difference. */
static void test_digest(void)
{
    uint8_t *scratch = g_malloc(PACKET_MAX_LEN);
    uint8_t bytes[64] = {
        [12] = 8,
        [14] = 0x45,
        [17] = 50,
        [22] = 64,
        [23] = 17,
        [26] = 10,
        [30] = 10,
        [37] = 53,
        [39] = 30,
        /* The pseudo-header's sum, as the kernel leaves it:
         * 0x0a00 + 0x0a00 + 17 + 30. */
        [40] = 0x14,
        [41] = 0x2f,
    };
    uint8_t whole[64];
    Packet packet = {.data = bytes, .len = sizeof(bytes)};
    uint64_t partial;
    uint32_t sum = 0;

    packet.vnet.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    packet.vnet.csum_start = 34;
    packet.vnet.csum_offset = 6;
    partial = dedup_digest(&packet, scratch);
    memcpy(whole, bytes, sizeof(whole));
    for (size_t i = 34; i < sizeof(bytes); i += 2) {
        sum += (uint32_t)(bytes[i] << 8 | bytes[i + 1]);
    }
    sum = (sum & 0xffff) + (sum >> 16);
    whole[40] = (uint8_t)(~sum >> 8);
    whole[41] = (uint8_t)~sum;
    packet = (Packet){.data = whole, .len = sizeof(whole)};
    g_assert_cmphex(dedup_digest(&packet, scratch), ==, partial);
    whole[63] ^= 1;
    g_assert_cmphex(dedup_digest(&packet, scratch), !=, partial);
    g_free(scratch);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dedup/multiset", test_multiset);
    g_test_add_func("/dedup/window", test_window);
    g_test_add_func("/dedup/empty", test_empty);
    g_test_add_func("/dedup/oldest", test_oldest);
    g_test_add_func("/dedup/newest", test_newest);
    g_test_add_func("/dedup/times", test_times);
    g_test_add_func("/dedup/full", test_full);
    g_test_add_func("/dedup/digest", test_digest);
    return g_test_run();
}
