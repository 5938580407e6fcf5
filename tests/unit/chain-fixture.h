/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A netdev that keeps what comes out of its chain, for tests of filters.
 * Frames go in by fixture_send(); what was delivered is one letter a frame,
 * the frame's first byte, in upper case if it counts as injected, with '<' in
 * front of what went toward the network.
 */
#ifndef TF_TESTS_CHAIN_FIXTURE_H
#define TF_TESTS_CHAIN_FIXTURE_H

#include "filter/chain.h"

typedef struct Fixture {
    Netdev netdev;
    GString *delivered;
} Fixture;

static inline void fixture_deliver(Netdev *netdev, Direction direction,
                                   const Packet *packet)
{
    GString *out = ((Fixture *)netdev)->delivered;
    char letter = (char)packet->data[0];

    if (direction == DIRECTION_RX) {
        g_string_append_c(out, '<');
    }
    g_string_append_c(out, packet->origin == ORIGIN_INJECTED
                               ? g_ascii_toupper(letter)
                               : letter);
}

static const NetdevClass fixture_class = {
    .object = {.name = "fixture",
               .parent = &netdev_class,
               .kind = OBJECT_KIND_NETDEV},
    .deliver = fixture_deliver,
    .has_guest = true,
};

static inline void fixture_init(Fixture *self)
{
    *self = (Fixture){
        .netdev =
            {
                .object = {.class = &fixture_class.object,
                           .id = (char *)"n0",
                           .completed = true},
                .filters = g_ptr_array_new(),
                .vm = vm_daemon(),
                .loop = loop_main(),
            },
        .delivered = g_string_new(NULL),
    };
    g_ptr_array_add(object_list(OBJECT_KIND_NETDEV), self);
    object_set_named(&self->netdev.object, true);
    vm_set_running(vm_daemon(), true, 0);
}

static inline void fixture_clear(Fixture *self)
{
    object_set_named(&self->netdev.object, false);
    g_ptr_array_remove(object_list(OBJECT_KIND_NETDEV), self);
    g_ptr_array_unref(self->netdev.filters);
    g_string_free(self->delivered, TRUE);
}

/* Sends a frame for each letter of @text, in one batch. */
static inline void fixture_send(Fixture *self, Direction direction,
                                Origin origin, const char *text)
{
    PacketBatch batch = {0};

    for (; *text; text++) {
        batch.packets[batch.n++] =
            (Packet){.data = (const uint8_t *)text, .len = 1, .origin = origin};
    }
    chain_run(&self->netdev, direction, &batch);
}

/* What was delivered since it was last asked for. */
static inline void fixture_check(Fixture *self, const char *expected)
{
    g_assert_cmpstr(self->delivered->str, ==, expected);
    g_string_truncate(self->delivered, 0);
}

/* An object from key=value properties in JSON; fails if it can't be made. */
static inline Filter *fixture_add(const char *type, const char *id,
                                  const char *json)
{
    json_auto_t *props = json_loads(json, 0, NULL);
    g_autoptr(GError) error = NULL;
    Object *obj;

    g_assert_nonnull(props);
    obj = object_new(OBJECT_KIND_OBJECT, type, id, props, PROP_SYNTAX_JSON,
                     &error);
    g_assert_no_error(error);
    return (Filter *)obj;
}

#endif
