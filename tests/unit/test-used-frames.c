/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The count of frames against a simulated receive queue: buffers of changing
 * sizes, as Linux posts them, frames of all lengths, and a ring of entries that
 * are read in pieces.
 */
#include "switchover/used-frames.h"

#include <string.h>

#include <glib.h>

#define RING_SIZE 256
#define HEADER 12
#define QUEUE_MAX 64

typedef struct World {
    GRand *rand;
    UsedFrames frames;
    uint32_t ring[RING_SIZE];
    uint16_t used;
    uint16_t delivered;
    bool one_buffer; /* the guest's buffers take any frame */
    bool uniform;    /* larger frames are all of one length */
    uint32_t queue[QUEUE_MAX];
    unsigned n_queue;
} World;

static unsigned between(World *world, unsigned least, unsigned most)
{
    return (unsigned)g_rand_int_range(world->rand, (gint32)least,
                                      (gint32)most + 1);
}

static void world_init(World *world, guint32 seed)
{
    *world = (World){
        .rand = g_rand_new_with_seed(seed),
        .one_buffer = seed % 5 == 4,
        .uniform = seed % 3 == 2,
    };
    world->used = (uint16_t)between(world, 0, UINT16_MAX);
    used_frames_restart(&world->frames, world->used, HEADER);
}

static void world_free(World *world)
{
    used_frames_clear(&world->frames);
    g_rand_free(world->rand);
}

static uint32_t draw_length(World *world)
{
    switch (between(world, 0, 3)) {
    case 0:
        return world->uniform ? 40000 : between(world, 1519, 65550);
    case 1:
        return 1514;
    default:
        return between(world, 14, 1518);
    }
}

/* No less than a frame of 1,518 bytes takes. */
static uint32_t draw_capacity(World *world)
{
    return world->one_buffer ? UINT16_MAX + 100
                             : 1536 + 64 * between(world, 0, 9);
}

static void world_captured(World *world, uint32_t len)
{
    used_frames_captured(&world->frames, len);
    world->queue[world->n_queue++] = len;
}

/* The device writes a frame, and then the index. */
static void world_deliver(World *world, uint32_t len)
{
    uint32_t left = HEADER + len;

    while (left > 0) {
        uint32_t capacity = draw_capacity(world), take = MIN(left, capacity);

        world->ring[world->used++ % RING_SIZE] = take;
        left -= take;
    }
    world->delivered++;
}

static void world_take(World *world)
{
    world_deliver(world, world->queue[0]);
    world->n_queue--;
    memmove(world->queue, world->queue + 1,
            world->n_queue * sizeof(world->queue[0]));
}

static bool world_sample(World *world)
{
    uint16_t wanted = used_frames_wanted(&world->frames, world->used);
    uint32_t lengths[RING_SIZE];

    for (unsigned i = 0; i < wanted && i < RING_SIZE; i++) {
        lengths[i] =
            world->ring[(uint16_t)(world->frames.index + i) % RING_SIZE];
    }
    return used_frames_sample(&world->frames, world->used,
                              wanted <= RING_SIZE ? lengths : NULL);
}

/* True if it is not known how many came, and the count begins anew. */
static bool world_sample_unsure(World *world, uint16_t start)
{
    bool sure = world_sample(world);

    if (!sure) {
        world->delivered =
            (uint16_t)(used_frames_count(&world->frames) - start);
    }
    return !sure;
}

/* How many frames are not counted that the guest got. */
static uint16_t world_missing(World *world, uint16_t start)
{
    return (uint16_t)(world->delivered + start -
                      used_frames_count(&world->frames));
}

static void test_counts(void)
{
    for (guint32 seed = 0; seed < 300; seed++) {
        World world;
        uint16_t start;

        world_init(&world, seed);
        start = used_frames_count(&world.frames);
        for (unsigned step = 0; step < 3000; step++) {
            if (world.n_queue < QUEUE_MAX && between(&world, 0, 1)) {
                world_captured(&world, draw_length(&world));
            } else if (world.n_queue > 0 && between(&world, 0, 1)) {
                world_take(&world);
            }
            /* Never more than the ring holds. */
            if ((uint16_t)(world.used - world.frames.index) > 100 ||
                between(&world, 0, 9) == 0) {
                g_assert_true(world_sample(&world));
                g_assert_cmpuint(world_missing(&world, start), ==, 0);
            }
        }
        world_free(&world);
    }
}

/* Frames that found the queue full, or that the VMM filtered out, never come.
 * One of many of them may by chance end where a buffer of another does. */
static void test_dropped(void)
{
    unsigned unsure = 0, wrong = 0;

    for (guint32 seed = 0; seed < 300; seed++) {
        World world;
        uint16_t start;

        world_init(&world, seed);
        start = used_frames_count(&world.frames);
        for (unsigned step = 0; step < 300; step++) {
            for (unsigned i = between(&world, 0, 30); i > 0; i--) {
                used_frames_captured(&world.frames, draw_length(&world));
            }
            world_captured(&world, draw_length(&world));
            world_take(&world);
            unsure += world_sample_unsure(&world, start);
        }
        wrong += world_missing(&world, start) > 0;
        world_free(&world);
    }
    g_test_message("of 90,000: %u unsure, %u wrong", unsure, wrong);
    g_assert_cmpuint(unsure + wrong, <, 30);
}

/* What is injected beside what is captured: nothing tells in which order a few
 * of them have entered the queue. */
static void test_overtaken(void)
{
    unsigned unsure = 0, wrong = 0;

    for (guint32 seed = 0; seed < 300; seed++) {
        World world;
        uint16_t start;

        world_init(&world, seed);
        start = used_frames_count(&world.frames);
        for (unsigned step = 0; step < 300; step++) {
            for (unsigned i = between(&world, 1, 8); i > 0; i--) {
                world_captured(&world, draw_length(&world));
            }
            while (world.n_queue > 0) {
                unsigned i = between(&world, 0, world.n_queue - 1);
                uint32_t len = world.queue[i];

                world.queue[i] = world.queue[0];
                world.queue[0] = len;
                world_take(&world);
            }
            unsure += world_sample_unsure(&world, start);
        }
        wrong += world_missing(&world, start) != 0;
        world_free(&world);
    }
    g_test_message("of 90,000: %u unsure, %u wrong", unsure, wrong);
    g_assert_cmpuint(unsure + wrong, <, 30);
}

/* What never comes is looked for no longer when enough others have come. */
static void test_forgotten(void)
{
    World world;

    world_init(&world, 0);
    used_frames_captured(&world.frames, 30000);
    world_captured(&world, 2000);
    world_take(&world);
    for (unsigned i = 0; i < USED_FRAMES_OVERTAKEN_BY; i++) {
        g_assert_true(world_sample(&world));
        world_deliver(&world, 64);
        g_assert_cmpuint(used_frames_wanted(&world.frames, world.used), ==, 1);
    }
    g_assert_true(world_sample(&world));
    world_deliver(&world, 64);
    g_assert_cmpuint(used_frames_wanted(&world.frames, world.used), ==, 0);
    world_free(&world);
}

/* Jumbo and super-frames that nobody captured: that is noticed, and what comes
 * behind them is counted. */
static void test_unknown(void)
{
    World world;
    uint16_t start;

    world_init(&world, 0);
    world_captured(&world, 9014); /* and is not taken yet */
    world_deliver(&world, 60000);
    g_assert_true(world_sample(&world));
    g_assert_true(world_sample(&world));
    g_assert_false(world_sample(&world));
    start = (uint16_t)(used_frames_count(&world.frames) - world.delivered);
    world_take(&world);
    world_captured(&world, 3000);
    world_take(&world);
    g_assert_true(world_sample(&world));
    g_assert_cmpuint(world_missing(&world, start), ==, 0);
    world_free(&world);
}

/* The capture had no room for some, one of them larger. */
static void test_missed(void)
{
    World world;
    uint16_t start;

    world_init(&world, 0);
    start = used_frames_count(&world.frames);
    used_frames_missed(&world.frames);
    world_deliver(&world, 64);
    g_assert_true(world_sample(&world));
    g_assert_cmpuint(world_missing(&world, start), ==, 0);
    world_deliver(&world, 7000);
    g_assert_true(world_sample(&world));
    g_assert_true(world_sample(&world));
    g_assert_false(world_sample(&world));
    world_free(&world);
}

/* Entries that no device writes are no frames. */
static void test_no_lengths(void)
{
    World world;

    world_init(&world, 0);
    world_captured(&world, 2000);
    world_take(&world);
    for (unsigned i = 0; i < RING_SIZE; i++) {
        world.ring[i] = 0;
    }
    g_assert_true(world_sample(&world));
    g_assert_true(world_sample(&world));
    g_assert_false(world_sample(&world));
    world_free(&world);
}

/* The capture hands a frame out when the guest has it already. */
static void test_late(void)
{
    World world;
    uint16_t start;

    world_init(&world, 0);
    start = used_frames_count(&world.frames);
    world_captured(&world, 30000);
    world_take(&world);
    world_deliver(&world, 64);
    world_deliver(&world, 20000);
    world_deliver(&world, 64);
    world_captured(&world, 2000);
    g_assert_true(world_sample(&world));
    g_assert_cmpuint(world_missing(&world, start), ==, 2);
    world.frames.next--;
    used_frames_captured(&world.frames, 20000);
    used_frames_captured(&world.frames, 2000);
    world_take(&world);
    g_assert_true(world_sample(&world));
    g_assert_cmpuint(world_missing(&world, start), ==, 0);
    world_free(&world);
}

/* More came than the ring holds. Small frames need no entries. */
static void test_overrun(void)
{
    World world;
    uint16_t start;

    world_init(&world, 0);
    start = used_frames_count(&world.frames);
    for (unsigned i = 0; i < 3 * RING_SIZE; i++) {
        world_captured(&world, 64);
        world_take(&world);
    }
    g_assert_cmpuint(used_frames_wanted(&world.frames, world.used), ==, 0);
    g_assert_true(world_sample(&world));
    g_assert_cmpuint(world_missing(&world, start), ==, 0);
    for (unsigned i = 0; i < 20; i++) {
        world_captured(&world, 60000);
        world_take(&world);
    }
    g_assert_false(world_sample(&world));
    world_captured(&world, 60000);
    start = (uint16_t)(used_frames_count(&world.frames) - world.delivered);
    world_take(&world);
    g_assert_true(world_sample(&world));
    g_assert_cmpuint(world_missing(&world, start), ==, 0);
    world_free(&world);
}

/* Of very many that wait the oldest are forgotten. */
static void test_many(void)
{
    World world;

    world_init(&world, 0);
    for (unsigned i = 0; i < 2 * USED_FRAMES_LARGE_MAX; i++) {
        used_frames_captured(&world.frames, 2000 + i);
    }
    world_deliver(&world, 2000 + USED_FRAMES_LARGE_MAX - 1);
    g_assert_true(world_sample(&world));
    g_assert_cmpuint(world.frames.unknown, ==, 1);
    world.ring[(uint16_t)(world.used - 1) % RING_SIZE]++; /* the next one */
    g_assert_true(world_sample(&world));
    g_assert_cmpuint(world.frames.unknown, ==, 0);
    world_free(&world);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/used-frames/counts", test_counts);
    g_test_add_func("/used-frames/dropped", test_dropped);
    g_test_add_func("/used-frames/overtaken", test_overtaken);
    g_test_add_func("/used-frames/forgotten", test_forgotten);
    g_test_add_func("/used-frames/unknown", test_unknown);
    g_test_add_func("/used-frames/missed", test_missed);
    g_test_add_func("/used-frames/no-lengths", test_no_lengths);
    g_test_add_func("/used-frames/late", test_late);
    g_test_add_func("/used-frames/overrun", test_overrun);
    g_test_add_func("/used-frames/many", test_many);
    return g_test_run();
}
