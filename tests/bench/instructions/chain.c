/* SPDX-License-Identifier: BSD-2-Clause */
/* A chain of mirrors whose copies go nowhere. */
#include "loops.h"
#include "unit/chain-fixture.h"

typedef struct Walk {
    Fixture fixture;
    PacketBatch batch;
} Walk;

static void walk_deliver(Netdev *netdev, Direction direction,
                         const Packet *packet)
{
    (void)netdev;
    (void)direction;
    (void)packet;
}

static const NetdevClass walk_class = {
    .object = {.name = "walk", .parent = &netdev_class},
    .deliver = walk_deliver,
    .has_guest = true,
};

static void walk_body(void *opaque)
{
    Walk *self = opaque;

    for (unsigned n = 0; n < LOOP_FRAMES; n += self->batch.n) {
        chain_run(&self->fixture.netdev, DIRECTION_TX, &self->batch);
    }
}

static Object *walk_make(ObjectKind kind, const char *type, unsigned number,
                         const char *json)
{
    g_autofree char *id = g_strdup_printf("%s%u", type, number);
    g_autoptr(GError) error = NULL;
    json_auto_t *props = json_loads(json, 0, NULL);
    Object *object =
        object_new(kind, type, id, props, PROP_SYNTAX_JSON, &error);

    g_assert_no_error(error);
    return object;
}

static void walk_run(unsigned filters)
{
    Object *made[2 * 8];
    Walk self;

    fixture_init(&self.fixture);
    self.fixture.netdev.object.class = &walk_class.object;
    loop_make_batch(&self.batch);
    for (unsigned i = 0; i < filters; i++) {
        g_autofree char *json =
            g_strdup_printf("{\"netdev\": \"n0\", \"outdev\": \"null%u\"}", i);

        made[2 * i] = walk_make(OBJECT_KIND_CHARDEV, "null", i, "{}");
        made[2 * i + 1] =
            walk_make(OBJECT_KIND_OBJECT, "filter-mirror", i, json);
    }
    loop_count(walk_body, &self);
    for (unsigned i = 2 * filters; i-- > 0;) {
        object_destroy(made[i]);
    }
    fixture_clear(&self.fixture);
}

void loop_chain_1(void)
{
    walk_run(1);
}

void loop_chain_8(void)
{
    walk_run(8);
}
