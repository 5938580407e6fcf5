/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * filter-mirror: a copy of every frame to outdev; the frame itself goes on.
 *
 * QEMU's filter of this name, but that a peer which is slow or absent costs
 * copies and nothing else: the chain never waits, and what could not be sent
 * is counted with its cause.
 */
#include "filter/outdev.h"

typedef struct Mirror {
    Filter filter;
    /* properties */
    char *outdev;
    bool vnet_hdr_support;
    uint32_t vnet_hdr_len;
    uint64_t send_queue_size;
    char *on_full;
    /* state */
    Outdev out;
} Mirror;

static Verdict mirror_packet(Filter *filter, Direction direction,
                             const Packet *packet)
{
    Mirror *self = (Mirror *)filter;
    Verdict verdict = outdev_append(&self->out, packet);

    if (verdict >= VERDICT_DROP) {
        filter_drop(filter, (DropCause)(verdict - VERDICT_DROP), 1,
                    packet->len);
    }
    return VERDICT_PASS;
}

static void mirror_batch_end(Filter *filter)
{
    outdev_run(&((Mirror *)filter)->out);
}

static bool mirror_setup(Filter *filter, GError **errp)
{
    Mirror *self = (Mirror *)filter;
    OutdevConfig config = {
        .chardev = self->outdev,
        .limit = self->send_queue_size,
        .policy = outdev_parse_policy(self->on_full, FULL_DROP_NEWEST),
    };

    return outdev_vnet_len(self->vnet_hdr_support, self->vnet_hdr_len,
                           &config.vnet_len, errp) &&
           outdev_open(&self->out, filter, &config, errp);
}

static void mirror_cleanup(Filter *filter)
{
    outdev_close(&((Mirror *)filter)->out);
}

static const Property mirror_props[] = {
    {.name = "outdev",
     PROP_FIELD_STRING(Mirror, outdev),
     .flags = PROP_REQUIRED,
     .since = "0.1",
     .doc = "id of the chardev that copies go to"},
    {.name = "vnet_hdr_support",
     PROP_FIELD_BOOL(Mirror, vnet_hdr_support),
     .flags = PROP_FIXED,
     .def = "off",
     .since = "0.1",
     .doc = "copies on outdev carry a virtio-net header"},
    {.name = "vnet-hdr-len",
     PROP_FIELD_UINT32(Mirror, vnet_hdr_len),
     .flags = PROP_FIXED,
     .def = "12",
     .min = 10,
     .max = 12,
     .since = "0.1",
     .doc = "bytes of the virtio-net header on outdev: 12, or 10 for a peer "
            "whose guest has no mergeable receive buffers"},
    {.name = "send-queue-size",
     PROP_FIELD_SIZE(Mirror, send_queue_size),
     .flags = PROP_FIXED,
     .def = "64M",
     .min = 1,
     .since = "0.1",
     .doc = "bytes that may wait for a slow peer of outdev"},
    {.name = "on-full",
     PROP_FIELD_STRING(Mirror, on_full),
     .flags = PROP_FIXED,
     .def = "drop-newest",
     .values = outdev_on_full_words,
     .since = "0.1",
     .doc = "which copies go when send-queue-size is reached: drop-oldest, or "
            "drop-newest (default); block means the same, for a chain does "
            "not wait"},
    PROP_END,
};

const FilterClass filter_mirror_class = {
    .object =
        {
            .name = "filter-mirror",
            .parent = &filter_class,
            .kind = OBJECT_KIND_OBJECT,
            .size = sizeof(Mirror),
            .props = mirror_props,
            .doc = "copies frames to a chardev",
        },
    .drop_causes = OUTDEV_DROP_CAUSES,
    .setup = mirror_setup,
    .cleanup = mirror_cleanup,
    .packet = mirror_packet,
    .batch_end = mirror_batch_end,
};
