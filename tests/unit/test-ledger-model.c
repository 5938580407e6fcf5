/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ledger against a model that is so small that nothing in it can be wrong
 * unseen, in every order in which things can happen: frames are sent into a
 * queue of two or three, the VMM takes them, the guest gets them, the ledger
 * takes a sample, a frame comes in the middle of a sample. After each step the
 * VM is stopped for trial, and what the ledger says is held against the fate of
 * every frame; then all orders of what can happen until the machine resumes
 * here are tried as well.
 *
 * Each test says how many steps and stops that were.
 */
#include "switchover/ledger.h"

#include <glib.h>
#include <stddef.h>
#include <string.h>

#define FRAMES_MAX 64
#define WARM_UP 8       /* frames */
#define TAKEN_MAX 2     /* taken, and not yet given to the guest */
#define QUIET_US 200000 /* nothing moves for so long */

typedef enum Fate { QUEUED, TAKEN, DELIVERED, DROPPED } Fate;

/* What happens. */
typedef enum Step {
    STEP_SEND,
    STEP_TAKE,
    STEP_DELIVER,
    STEP_SAMPLE,
    STEP_SAMPLE_SEND, /* a frame comes after the counters were read */
    STEP__MAX,
    STEP_STOP = STEP__MAX,
} Step;

/* The truth; small, so that a step back is a copy. */
typedef struct World {
    uint8_t fate[FRAMES_MAX];
    uint32_t entered, unseen; /* sent; of these, not yet told to the ledger */
    uint32_t taken;           /* this one the VMM takes next, if not dropped */
    uint32_t delivered;       /* this one the guest gets next, likewise */
    uint32_t in_queue, in_vmm;
    LinkCounters counters;
    uint16_t used;
    int64_t time_us;
} World;

typedef struct Trial {
    unsigned capacity;
    unsigned depth, depth_stopped;
    uint64_t steps, stops, resumes;
    uint64_t repeats; /* frames that would be shipped again */
    uint64_t given;   /* and those given back that found room */
    bool was_full;    /* it turned a frame away just before the stop */
    Step trail[32];
    unsigned n_trail;
} Trial;

static Trial trial;

/* What led here, for whoever mends what this test found. */
static const char *trail(void)
{
    static char text[sizeof(trial.trail) + 1];

    for (unsigned i = 0; i < trial.n_trail; i++) {
        text[i] = "STDPQ|"[trial.trail[i]];
    }
    text[trial.n_trail] = '\0';
    return text;
}

#define CHECK(left, op, right)                                                 \
    do {                                                                       \
        uint64_t left_ = (left), right_ = (right);                             \
        if (!(left_ op right_)) {                                              \
            g_error("after %s: %s is %" G_GUINT64_FORMAT ", not " #op " %s, "  \
                    "%" G_GUINT64_FORMAT,                                      \
                    trail(), #left, left_, #right, right_);                    \
        }                                                                      \
    } while (0)

/* The truth moves */

static void world_send(World *world)
{
    uint32_t number = world->entered++;

    world->unseen++;
    if (world->in_queue == trial.capacity) {
        world->fate[number] = DROPPED;
        world->counters.tx_dropped++;
    } else {
        world->fate[number] = QUEUED;
        world->in_queue++;
    }
}

/* The first frame from @number on with this fate. */
static uint32_t world_find(const World *world, uint32_t number, Fate fate)
{
    while (number < world->entered && world->fate[number] != fate) {
        number++;
    }
    return number;
}

static bool world_take(World *world)
{
    if (world->in_queue == 0 || world->in_vmm == TAKEN_MAX) {
        return false;
    }
    world->taken = world_find(world, world->taken, QUEUED);
    world->fate[world->taken] = TAKEN;
    world->counters.tx_packets++;
    world->in_queue--;
    world->in_vmm++;
    return true;
}

static bool world_deliver(World *world)
{
    if (world->in_vmm == 0) {
        return false;
    }
    world->delivered = world_find(world, world->delivered, TAKEN);
    world->fate[world->delivered] = DELIVERED;
    world->used++;
    world->in_vmm--;
    return true;
}

/* All but the marks that there are not: room for those is most of a ledger, and
 * to copy it would be most of the work. */
static void ledger_copy(Ledger *copy, const Ledger *ledger)
{
    const size_t marks = offsetof(Ledger, marks);
    const size_t rest = offsetof(Ledger, n_marks);

    memcpy(copy, ledger, marks + ledger->n_marks * sizeof(LedgerMark));
    memcpy((uint8_t *)copy + rest, (const uint8_t *)ledger + rest,
           sizeof(Ledger) - rest);
}

static void world_see(World *world, Ledger *ledger)
{
    if (world->unseen > 0) {
        ledger_captured(ledger, 0, world->unseen);
        world->unseen = 0;
    }
}

/* @send: a frame comes between the counters and the end of the capture. */
static LedgerSample world_sample(World *world, Ledger *ledger, bool send)
{
    LedgerSample sample = {
        .time_us = world->time_us,
        .used_known = true,
        .used_stable = true,
        .used = world->used,
        .counters = world->counters,
    };

    if (send) {
        world_send(world);
    }
    world_see(world, ledger);
    ledger_sample(ledger, &sample);
    return sample;
}

/* The ledger has learned what is to be learned from a quiet moment. */
static void world_init(World *world, Ledger *ledger)
{
    *world = (World){
        .counters = {.tx_packets = 1000, .tx_dropped = 7},
        .used = 0xfffa, /* it wraps soon */
    };
    ledger_init(ledger, 0, trial.capacity);
    world_sample(world, ledger, false);
    for (unsigned i = 0; i < WARM_UP; i++) {
        world_send(world);
        world_take(world);
        world_deliver(world);
    }
    do {
        world->time_us += QUIET_US;
        world_sample(world, ledger, false);
    } while (ledger_wants_sample(ledger, true));
}

/* What the ledger says */

/* The first frame that the guest can still get, and did not. */
static uint32_t world_first_missing(const World *world)
{
    uint32_t number = 0;

    while (number < world->entered && (world->fate[number] == DELIVERED ||
                                       world->fate[number] == DROPPED)) {
        number++;
    }
    return number;
}

static void check_balance(const World *world, const Ledger *ledger)
{
    CHECK(ledger_entered(ledger), ==, world->entered);
    CHECK(ledger_pending(ledger), ==, world->in_queue);
    CHECK(ledger_dropped(ledger), ==, world->counters.tx_dropped - 7);
    CHECK(ledger->taken - ledger->dropped_before + ledger_pending(ledger) +
              ledger_dropped(ledger),
          ==, world->entered);
}

/* @vague: it can't be told for each; then rather one too many than a lost one.
 */
static void check_dropped(const World *world, const Ledger *ledger,
                          uint64_t first, bool vague)
{
    for (uint64_t number = first; number < world->entered; number++) {
        bool dropped = world->fate[number] == DROPPED;

        if (vague) {
            CHECK(ledger_was_dropped(ledger, number), >=, dropped);
            trial.given += ledger_was_dropped(ledger, number) && !dropped;
        } else {
            CHECK(ledger_was_dropped(ledger, number), ==, dropped);
        }
    }
}

/* The machine resumes here: what did its queue turn away, what did the VMM
 * swallow? The rest the guest takes by itself. */
static void check_resume(const World *before, const Ledger *stopped,
                         uint64_t first, bool vague)
{
    Ledger ledger;
    World world = *before;
    LedgerSample sample;
    uint32_t swallowed = 0;

    ledger_copy(&ledger, stopped);
    sample = world_sample(&world, &ledger, false);
    trial.resumes++;
    ledger_resume(&ledger, world.entered, world.entered);
    CHECK(ledger_swallowed(&ledger, &sample, &swallowed), ==, true);
    CHECK(swallowed, ==, world.in_vmm);
    check_dropped(&world, &ledger, first, vague);
}

/* The machine resumed here and nobody has said so yet: the guest empties its
 * queue, or a part of it, and frames find room again. So few that it has taken
 * may be late ones. */
static void check_late_resume(const World *before, const Ledger *stopped,
                              uint64_t first, bool vague)
{
    uint32_t resumed_at = before->entered;
    uint64_t tx = before->counters.tx_packets;
    World world = *before;

    while (world.in_vmm > 0) {
        world_deliver(&world);
    }
    while (world_take(&world)) {
        Ledger ledger;
        World sampled;

        ledger_copy(&ledger, stopped);
        world_deliver(&world);
        world_send(&world);
        sampled = world;
        world_sample(&sampled, &ledger, false);
        trial.resumes++;
        ledger_resume(&ledger, resumed_at, resumed_at);
        check_dropped(&sampled, &ledger, first,
                      vague || world.counters.tx_packets - tx <= 2);
        if (world.entered - resumed_at == trial.capacity) {
            break;
        }
    }
}

/* The machine resumes here and its VMM is late: frames come before it takes
 * one, and when it has emptied the queue. @heard: the word of it comes before
 * all that, else behind. */
static void check_slow_resume(const World *before, const Ledger *stopped,
                              uint64_t first, unsigned late, bool heard)
{
    uint32_t resumed_at = before->entered;
    Ledger ledger;
    World world = *before;

    ledger_copy(&ledger, stopped);
    if (heard) {
        world_sample(&world, &ledger, false);
        ledger_resume(&ledger, resumed_at, resumed_at);
    }
    while (late-- > 0) {
        world_send(&world);
    }
    do {
        while (world_deliver(&world)) {
        }
    } while (world_take(&world));
    world_send(&world);
    world_sample(&world, &ledger, false);
    if (!heard) {
        ledger_resume(&ledger, resumed_at, world.entered - 1);
    }
    trial.resumes++;
    check_dropped(&world, &ledger, first, true);
}

/* The last sample has found no frame that had not been counted: else only the
 * next one tells where a run of dropped frames begins. Nor, if it is @vague
 * when frames have found room, was one taken since. */
static bool was_sampled_whole(bool vague)
{
    unsigned i = trial.n_trail - 1;

    while (trial.trail[i] < STEP_SAMPLE) {
        if (vague && trial.trail[i] == STEP_TAKE) {
            return false;
        }
        i--;
    }
    return trial.trail[i] != STEP_SAMPLE_SEND;
}

/* While the VM stands: the VMM takes what it should not, frames come. It takes
 * at once what there is; only of a full queue may frames have been turned away
 * before (@vague), and nothing tells how many of them found room then. */
static void try_stopped(const World *before, const Ledger *stopped,
                        uint64_t first, uint32_t stopped_at, bool vague,
                        unsigned depth)
{
    bool sent = before->entered > stopped_at;

    check_resume(before, stopped, first, vague);
    if (was_sampled_whole(vague)) {
        check_late_resume(before, stopped, first, vague);
        for (unsigned late = 1; late <= trial.capacity + 1; late++) {
            check_slow_resume(before, stopped, first, late, false);
            check_slow_resume(before, stopped, first, late, true);
        }
    }
    if (depth == 0) {
        return;
    }
    for (unsigned step = STEP_SEND; step < STEP__MAX; step++) {
        Ledger ledger;
        World world = *before;
        bool possible = true, took = step == STEP_TAKE;

        ledger_copy(&ledger, stopped);
        trial.steps++;
        trial.trail[trial.n_trail++] = step;
        if (step == STEP_SEND) {
            world_send(&world);
        } else if (took) {
            possible =
                (!sent || (trial.was_full && was_sampled_whole(vague))) &&
                world_take(&world);
        } else if (step >= STEP_SAMPLE) {
            world_sample(&world, &ledger, step == STEP_SAMPLE_SEND);
        } else {
            possible = false;
        }
        if (possible) {
            try_stopped(&world, &ledger, first, stopped_at,
                        vague || (took && world.counters.tx_dropped > 7),
                        depth - 1);
        }
        trial.n_trail--;
    }
}

/* What is shipped if the VM stops here. */
static void try_stop(const World *before, const Ledger *running)
{
    Ledger ledger;
    World world = *before;
    LedgerSample sample;
    LedgerMethod method;
    uint64_t first, missing = world_first_missing(&world);
    uint64_t dropped = world.counters.tx_dropped - 7;

    ledger_copy(&ledger, running);
    sample = world_sample(&world, &ledger, false);
    trial.stops++;
    check_balance(&world, &ledger);
    first = ledger_stop(&ledger, &sample, UINT32_MAX, false, &method);
    CHECK(method, ==, LEDGER_USED_INDEX);
    CHECK(first, <=, missing);
    /* Exact, but for frames that were dropped: each can hide one. */
    CHECK(missing - first, <=, 2 * dropped);
    for (uint64_t number = first; number < missing; number++) {
        trial.repeats += world.fate[number] == DELIVERED;
    }
    if (trial.depth_stopped > 0) {
        trial.was_full = world.in_queue == trial.capacity &&
                         world.fate[world.entered - 1] == DROPPED;
        trial.trail[trial.n_trail++] = STEP_STOP;
        try_stopped(&world, &ledger, MAX(first, world.entered), world.entered,
                    false, trial.depth_stopped);
        trial.n_trail--;
    }
}

static void try_running(const World *before, const Ledger *running,
                        unsigned depth)
{
    try_stop(before, running);
    if (depth == 0) {
        return;
    }
    for (unsigned step = 0; step < STEP__MAX; step++) {
        World world = *before;
        bool possible = true;

        trial.steps++;
        trial.trail[trial.n_trail++] = step;
        world.time_us += 1000;
        if (step >= STEP_SAMPLE) {
            Ledger ledger;

            ledger_copy(&ledger, running);
            world_sample(&world, &ledger, step == STEP_SAMPLE_SEND);
            try_running(&world, &ledger, depth - 1);
        } else {
            if (step == STEP_SEND) {
                world_send(&world);
            } else {
                possible = step == STEP_TAKE ? world_take(&world)
                                             : world_deliver(&world);
            }
            if (possible) {
                try_running(&world, running, depth - 1);
            }
        }
        trial.n_trail--;
    }
}

static void try_all(unsigned capacity, unsigned depth, unsigned depth_stopped)
{
    World world;
    Ledger ledger;

    trial = (Trial){
        .capacity = capacity,
        .depth = depth,
        .depth_stopped = depth_stopped,
    };
    world_init(&world, &ledger);
    try_running(&world, &ledger, depth);
    g_test_message("queue of %u, depth %u + %u: %" G_GUINT64_FORMAT
                   " steps, %" G_GUINT64_FORMAT " stops, %" G_GUINT64_FORMAT
                   " resumes, %" G_GUINT64_FORMAT " repeats, %" G_GUINT64_FORMAT
                   " given back besides",
                   capacity, depth, depth_stopped, trial.steps, trial.stops,
                   trial.resumes, trial.repeats, trial.given);
}

/* A long way to the stop. */
static void test_stop(void)
{
    unsigned more = g_test_thorough();

    try_all(2, 10 + 2 * more, 0);
    try_all(3, 10 + 2 * more, 0);
}

/* A shorter one, and what follows until the machine resumes here. */
static void test_resume(void)
{
    unsigned more = g_test_thorough();

    try_all(2, 6 + more, 5 + more);
    try_all(3, 5 + more, 6 + more);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ledger-model/stop", test_stop);
    g_test_add_func("/ledger-model/resume", test_resume);
    return g_test_run();
}
