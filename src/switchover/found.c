/* SPDX-License-Identifier: BSD-2-Clause */
#include "switchover/found.h"

#include <string.h>

#include <glib.h>

/* The records of @queue, in order. */
static GPtrArray *found_list(const PacketQueue *queue)
{
    GPtrArray *list = g_ptr_array_sized_new((guint)packet_queue_count(queue));
    PacketCursor cursor = packet_queue_head(queue);
    PacketRecord *record;

    while ((record = packet_queue_at(queue, &cursor))) {
        g_ptr_array_add(list, record);
        packet_cursor_advance(&cursor);
    }
    return list;
}

static bool found_is_same(const PacketRecord *captured,
                          const PacketRecord *drained)
{
    return captured->len == 0 ||
           (captured->len == drained->len &&
            memcmp(captured->data, drained->data, drained->len) == 0);
}

uint64_t found_count_captured(const PacketQueue *drained,
                              const PacketQueue *captured, uint64_t most)
{
    g_autoptr(GPtrArray) tail = found_list(drained);
    g_autoptr(GPtrArray) list = found_list(captured);
    guint i = list->len;
    uint64_t n = 0;

    while (n < MIN(most, tail->len)) {
        const PacketRecord *last = tail->pdata[tail->len - 1 - n];

        while (i > 0 && !found_is_same(list->pdata[i - 1], last)) {
            i--;
        }
        if (i-- == 0) {
            break;
        }
        n++;
    }
    return n;
}
