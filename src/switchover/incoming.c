/* SPDX-License-Identifier: BSD-2-Clause */
#include "switchover/incoming.h"

#include "base/log.h"
#include "base/loop.h"
#include "netdev/drain.h"
#include "netdev/tun-fd.h"
#include "switchover/sieve.h"

#include <string.h>

/* So long the VMM has to take the bait. */
#define BAIT_US 20000
/* So long it tries to put frames back with none in between. */
#define BACK_US 10000
/* So long frames to groups wait for the source's word when the VM runs. */
#define WORD_US 5000000

/*
 * QEMU takes a frame out of each of its TAP's queues while it waits for a VM,
 * loses it, and takes no more. It may have this one: UDP to nobody, from
 * 192.0.2.1 to 192.0.2.2 (RFC 5737), port 9 (discard). The TAP chooses the
 * queue by the ports among others, so with several queues there are so many,
 * each from another port, that every queue gets some.
 */
#define BAIT_LEN 60
#define BAIT_PORT 35 /* the last byte of the source port */
#define BAITS_A_QUEUE 8

static const uint8_t bait[BAIT_LEN] = {
    0x02, 't', 'a', 'p', 'f', 'y', 0x02, 't', 'a', 'p', 'f',  'y',  0x08, 0x00,
    0x45, 0,   0,   46,  0,   0,   0,    0,   1,   17,  0x35, 0xbc, 192,  0,
    2,    1,   192, 0,   2,   2,   0x74, 0,   0,   9,   0,    26,   0,    0,
};

struct Incoming {
    IncomingConfig config;
    Drain *drain;     /* while the VM has yet to run; or NULL */
    Sieve *sieve;     /* with drain, and until what it holds is decided */
    bool awaited;     /* the VM is */
    bool tried;       /* to get the drain, for this VM */
    bool baiting;     /* the VMM may take the bait */
    bool tells;       /* the source does */
    bool told;        /* it has said all that its guest got */
    LoopTimer timer;  /* of the bait, or until the word is waited for */
    PacketBatch back; /* on its way back, during incoming_give_back() */
    Counter drained, stale, put_back, refused;
    uint64_t left; /* in the queue when the VM ran */
};

static bool is_bait(const Packet *packet)
{
    return packet->len == BAIT_LEN &&
           memcmp(packet->data, bait, BAIT_PORT) == 0 &&
           memcmp(packet->data + BAIT_PORT + 1, bait + BAIT_PORT + 1,
                  BAIT_LEN - BAIT_PORT - 1) == 0;
}

static void incoming_drained(void *opaque, const Packet *packet)
{
    Incoming *self = opaque;
    int64_t came_us = flood_taken(self->config.flood, packet);

    G_STATIC_ASSERT(TUN_QUEUES_MAX <= SIEVE_QUEUES_MAX);
    if (is_bait(packet)) {
        return;
    }
    counter_add(&self->drained, 1, packet->len);
    sieve_add(self->sieve, packet, came_us);
}

/* Puts into the TAP what has been gathered; what finds no room would have found
 * none before. */
static void incoming_flush(Incoming *self)
{
    unsigned i = 0, done;

    while (i < self->back.n) {
        done = injector_put(self->config.injector, self->back.packets + i,
                            self->back.n - i);
        for (; done > 0; done--, i++) {
            flood_put_back(self->config.flood, &self->back.packets[i]);
            counter_add(&self->put_back, 1, self->back.packets[i].len);
        }
        if (i < self->back.n) {
            counter_add(&self->refused, 1, self->back.packets[i++].len);
        }
    }
    self->back.n = 0;
}

static void incoming_put(void *opaque, const Packet *packet)
{
    Incoming *self = opaque;

    if (self->back.n == PACKET_BATCH_MAX) {
        incoming_flush(self);
    }
    self->back.packets[self->back.n++] = *packet;
}

/* What the guest has not had goes back where it was; with @groups off, frames
 * to groups wait on for the word. */
static void incoming_give_back(Incoming *self, bool groups)
{
    flood_look(self->config.flood); /* what was dropped is none of these */
    sieve_take(self->sieve, groups, incoming_put, self);
    incoming_flush(self);
    sieve_trim(self->sieve);
}

/* All of it goes back. What the network brings meanwhile lands between, is
 * behind all of it, and is taken out and put back with it once more. */
static void incoming_give_back_all(Incoming *self)
{
    int64_t end = g_get_monotonic_time() + BACK_US;
    uint64_t brought;

    do {
        if (self->drain) {
            drain_run(self->drain);
        }
        brought = flood_brought(self->config.flood);
        incoming_give_back(self, true);
    } while (self->drain && flood_brought(self->config.flood) != brought &&
             g_get_monotonic_time() < end);
}

/* What is undecided goes back, or if @had counts as had by the guest. */
static void incoming_settle(Incoming *self, bool had)
{
    Counter stale;

    loop_timer_cancel(&self->timer);
    if (!self->sieve) {
        return;
    }
    if (had) {
        sieve_clear(self->sieve);
    }
    incoming_give_back_all(self);
    stale = sieve_stale(self->sieve);
    counter_add(&self->stale, stale.packets, stale.bytes);
    g_clear_pointer(&self->sieve, sieve_free);
}

/* The bait */

static void incoming_bait(Incoming *self)
{
    unsigned queues = drain_queues(self->drain), done;
    unsigned n = queues > 1 ? MIN(queues * BAITS_A_QUEUE, PACKET_BATCH_MAX) : 1;
    uint8_t bytes[PACKET_BATCH_MAX][BAIT_LEN];
    Packet packets[PACKET_BATCH_MAX];

    for (unsigned i = 0; i < n; i++) {
        memcpy(bytes[i], bait, BAIT_LEN);
        bytes[i][BAIT_PORT] = (uint8_t)i;
        packets[i] = (Packet){.data = bytes[i], .len = BAIT_LEN};
    }
    self->baiting = true;
    done = injector_put(self->config.injector, packets, n);
    for (unsigned i = 0; i < done; i++) {
        flood_put_back(self->config.flood, &packets[i]);
    }
    loop_timer_set(&self->timer, BAIT_US);
}

/* The VMM has taken it, or takes none any more. */
static void incoming_end_bait(Incoming *self)
{
    self->baiting = false;
    loop_timer_cancel(&self->timer);
    flood_set_swallows(self->config.flood, 0);
    self->sieve = self->sieve ? self->sieve : sieve_new(self->config.limit);
    drain_run(self->drain);
}

/* Drains as long as the source has still to say something. */
static void incoming_drain(Incoming *self)
{
    bool on = self->tells && !self->told;

    if (self->drain && self->baiting && !on) {
        incoming_end_bait(self);
    }
    if (!self->drain || self->baiting) {
        return;
    }
    if (on && !self->sieve) {
        self->sieve = sieve_new(self->config.limit);
    }
    drain_set_on(self->drain, on);
    if (on) {
        drain_run(self->drain);
    } else {
        incoming_settle(self, false);
    }
}

static void incoming_tick(void *opaque)
{
    Incoming *self = opaque;

    if (!self->drain) {
        incoming_settle(self, false); /* the word has not come */
        return;
    }
    incoming_end_bait(self);
    incoming_drain(self);
}

/* The VM */

/* The TAP's queues, as its VMM has them open; to be freed. NULL and an error if
 * they can't be had, without one if it is not known who the VMM is. */
static Drain *incoming_open(Incoming *self, GError **errp)
{
    pid_t pid = vm_pid(tap_netdev(self->config.tap)->vm);

    return pid > 0
               ? drain_new(self->config.tap, pid, incoming_drained, self, errp)
               : NULL;
}

static void incoming_start(Incoming *self)
{
    g_autoptr(GError) error = NULL;
    Drain *drain = self->tried ? NULL : incoming_open(self, &error);

    if (!drain && !error) {
        return;
    }
    self->tried = true;
    incoming_settle(self, true);
    self->drain = drain;
    if (!drain) {
        log_warning("switchover",
                    "%s: what the network floods before the VM runs may come "
                    "to it twice: %s",
                    self->config.name, error->message);
        return;
    }
    log_info("switchover", "%s: drains %s until the source's VM stops",
             self->config.name, tap_ifname(self->config.tap));
    incoming_bait(self);
}

static void incoming_end(Incoming *self)
{
    g_clear_pointer(&self->drain, drain_free);
    self->awaited = self->tried = self->baiting = self->told = false;
    flood_set_swallows(self->config.flood, UINT64_MAX);
}

/* How many queues the VMM has open; UINT64_MAX if that can't be seen. */
static uint64_t incoming_queues(Incoming *self)
{
    uint64_t n = 1;
    Drain *drain;

    if (tap_is_multi_queue(self->config.tap)) {
        drain = incoming_open(self, NULL);
        n = drain ? drain_queues(drain) : UINT64_MAX;
        drain_free(drain);
    }
    return n;
}

/* QEMU takes one frame out of each queue. */
static void incoming_await(Incoming *self)
{
    if (!self->awaited) {
        flood_set_swallows(self->config.flood, incoming_queues(self));
    }
    self->awaited = true;
}

/* It runs: the VMM reads its queue itself. */
static void incoming_resume(Incoming *self)
{
    bool told = self->told;

    if (self->baiting) {
        incoming_end_bait(self);
    }
    if (!self->drain) {
        self->left = flood_waiting(self->config.flood);
    }
    incoming_end(self);
    if (self->sieve && self->tells && !told) {
        log_warning("switchover",
                    "%s: the source has not said yet what its guest got",
                    self->config.name);
        incoming_give_back(self, false);
        loop_timer_set(&self->timer, WORD_US);
    } else {
        incoming_settle(self, false);
    }
}

void incoming_update(Incoming *self, bool yet_to_run, bool tells)
{
    self->tells = tells;
    if (yet_to_run) {
        incoming_await(self);
        if (tells && !self->told) {
            incoming_start(self);
        }
        incoming_drain(self);
    } else if (self->awaited) {
        incoming_resume(self);
    }
}

/* All is said. What is drained does not stay out for long: the VM may begin to
 * run at any time. */
static void incoming_decide(Incoming *self)
{
    if (self->baiting) {
        incoming_end_bait(self);
    } else if (self->drain && self->sieve) {
        drain_run(self->drain);
    }
    if (self->sieve) {
        sieve_compare(self->sieve, g_get_monotonic_time());
    }
    if (self->drain) {
        incoming_drain(self);
    } else {
        incoming_settle(self, false);
    }
}

static void incoming_tell_flood(Incoming *self, LinkDelivered word)
{
    LinkDigest copy;

    while (link_delivered_next(&word, &copy)) {
        if (!(copy.digest & 1)) {
            flood_told(self->config.flood, copy.digest);
        }
    }
}

void incoming_hear(Incoming *self, const uint8_t *body, size_t len)
{
    LinkDelivered word;

    if (self->told || !link_delivered_parse(body, len, &word)) {
        return;
    }
    incoming_tell_flood(self, word);
    if (self->drain && !self->sieve) {
        self->sieve = sieve_new(self->config.limit);
    }
    self->told = !self->sieve || sieve_hear(self->sieve, &word);
    if (self->told) {
        incoming_decide(self);
    }
}

void incoming_cancel(Incoming *self)
{
    self->told = false;
    incoming_drain(self);
    if (self->sieve) {
        sieve_clear(self->sieve);
    }
}

void incoming_gone(Incoming *self)
{
    incoming_end(self);
    incoming_settle(self, true);
}

json_t *incoming_to_json(const Incoming *self)
{
    uint64_t stale = self->stale.packets, waiting = 0;

    if (self->sieve) {
        stale += sieve_stale(self->sieve).packets;
        waiting = sieve_waiting(self->sieve).packets;
    }
    return json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I}", "drained",
        (json_int_t)self->drained.packets, "stale", (json_int_t)stale,
        "put-back", (json_int_t)self->put_back.packets, "waiting",
        (json_int_t)waiting, "refused", (json_int_t)self->refused.packets,
        "left", (json_int_t)self->left);
}

Incoming *incoming_new(const IncomingConfig *config)
{
    Incoming *self = g_new0(Incoming, 1);

    self->config = *config;
    self->timer = LOOP_TIMER_INIT;
    loop_timer_open(&self->timer, incoming_tick, self);
    return self;
}

void incoming_free(Incoming *self)
{
    if (self) {
        if (self->baiting) {
            incoming_end_bait(self);
        }
        incoming_settle(self, false); /* rather twice than never */
        incoming_gone(self);
        loop_timer_close(&self->timer);
        g_free(self);
    }
}
