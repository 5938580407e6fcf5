/* SPDX-License-Identifier: BSD-2-Clause */
#include "filter/outdev.h"

#include "packet/vnet.h"

#include <string.h>

const char *const outdev_on_full_words[] = {
    [FULL_BLOCK] = "block",
    [FULL_DROP_OLDEST] = "drop-oldest",
    [FULL_DROP_NEWEST] = "drop-newest",
    NULL,
};

FullPolicy outdev_parse_policy(const char *word, FullPolicy fallback)
{
    for (int i = 0; word && outdev_on_full_words[i]; i++) {
        if (strcmp(outdev_on_full_words[i], word) == 0) {
            return (FullPolicy)i;
        }
    }
    return fallback;
}

static void outdev_done(void *opaque, PacketRecord *record, FrameFate fate)
{
    Outdev *self = opaque;

    if (fate == FRAME_SENT) {
        counter_add(&self->sent, 1, record->len);
    } else {
        filter_drop(self->filter,
                    fate == FRAME_UNSENDABLE ? DROP_OVERSIZE : DROP_QUEUE_FULL,
                    1, record->len);
    }
}

static void outdev_passed(void *opaque, Counter frames)
{
    Outdev *self = opaque;

    counter_add(&self->sent, frames.packets, frames.bytes);
}

static void outdev_room(void *opaque)
{
    Outdev *self = opaque;

    if (self->room) {
        self->room(self->filter);
    }
}

static const FrameWriterHandlers outdev_handlers = {
    .done = outdev_done,
    .passed = outdev_passed,
    .room = outdev_room,
};

bool outdev_vnet_len(bool support, uint32_t len, uint32_t *vnet_len,
                     GError **errp)
{
    *vnet_len = support ? len : 0;
    return len == VNET_HDR_LEN || len == VNET_HDR_MRG_LEN ||
           tf_error_set(errp, "Parameter 'vnet-hdr-len' expects 10 or 12");
}

bool outdev_open(Outdev *self, Filter *filter, const OutdevConfig *config,
                 GError **errp)
{
    FrameWriterConfig writer = {
        .chardev = config->chardev,
        .vnet_len = config->vnet_len,
        .limit = config->limit,
        .policy = config->policy,
        .shipping = true,
    };

    self->filter = filter;
    self->writer = frame_writer_new(&writer, &outdev_handlers, self, errp);
    return self->writer != NULL;
}

void outdev_close(Outdev *self)
{
    frame_writer_free(self->writer);
    self->writer = NULL;
}

Verdict outdev_append(Outdev *self, const Packet *packet)
{
    if (packet->len == 0) {
        return VERDICT_CONSUMED;
    }
    switch (frame_writer_append(self->writer, packet)) {
    case FRAME_APPEND_OK:
        return VERDICT_CONSUMED;
    case FRAME_APPEND_DISCONNECTED:
        return VERDICT_DROP_CAUSE(DROP_DISCONNECTED);
    case FRAME_APPEND_FULL:
        break;
    }
    return VERDICT_DROP_CAUSE(DROP_QUEUE_FULL);
}

void outdev_run(Outdev *self)
{
    frame_writer_run(self->writer);
}
