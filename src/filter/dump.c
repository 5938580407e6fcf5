/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * filter-dump: writes every frame to a capture file; the frame goes on.
 * QEMU's filter of this name, which also writes pcapng, rotates its files and
 * survives a full disk.
 */
#include "filter/dump-file.h"
#include "filter/filter.h"
#include "netdev/tap.h"

#include <string.h>
#include <time.h>

typedef struct Dump {
    Filter filter;
    /* properties */
    char *path;
    uint32_t maxlen;
    int format; /* PcapFormat */
    uint64_t rotate_size;
    uint32_t rotate_interval;
    uint32_t rotate_keep;
    /* state */
    DumpFile *file;
    int64_t last_ns; /* of the last frame */
} Dump;

/* When the kernel saw the frame, or now; but not before the frame in front of
 * it, which may have come another way. The times in a file go back only if the
 * clock does. */
static int64_t dump_time_ns(Dump *self, const Packet *packet)
{
    struct timespec clock;
    int64_t now_ns, time_ns;

    clock_gettime(CLOCK_REALTIME, &clock);
    now_ns = (int64_t)clock.tv_sec * 1000000000 + clock.tv_nsec;
    time_ns = packet->time_ns ? packet->time_ns : now_ns;
    if (time_ns < self->last_ns && self->last_ns <= now_ns) {
        time_ns = self->last_ns;
    }
    self->last_ns = time_ns;
    return time_ns;
}

static Verdict dump_packet(Filter *filter, Direction direction,
                           const Packet *packet)
{
    Dump *self = (Dump *)filter;
    PcapFrame frame = {
        .data = packet->data,
        .len = packet->len,
        .caplen = MIN(packet->len, self->maxlen),
        .outbound = direction == DIRECTION_TX,
        .time_ns = dump_time_ns(self, packet),
    };

    if (!dump_file_append(self->file, &frame)) {
        filter_drop(filter, DROP_QUEUE_FULL, 1, packet->len);
    }
    return VERDICT_PASS;
}

static void dump_describe(void *opaque, PcapHeader *header)
{
    Dump *self = opaque;
    Tap *tap = tap_from_netdev(self->filter.netdev);

    header->snaplen = self->maxlen;
    header->filter =
        self->filter.match ? match_expression(self->filter.match) : NULL;
    header->ifname = tap ? tap_ifname(tap) : self->filter.netdev->object.id;
}

static void dump_lost(void *opaque, uint64_t packets, uint64_t bytes)
{
    filter_drop(opaque, DROP_QUEUE_FULL, packets, bytes);
}

static const DumpFileHandlers dump_handlers = {
    .describe = dump_describe,
    .lost = dump_lost,
};

/* Begins the file that the properties name; the old one ends. */
static bool dump_open(Dump *self, GError **errp)
{
    DumpFileConfig config = {
        .path = self->path,
        .format = (PcapFormat)self->format,
        .rotate_size = self->rotate_size,
        .rotate_interval = self->rotate_interval,
        .rotate_keep = self->rotate_keep,
    };
    DumpFile *file = dump_file_new(&config, &dump_handlers, self, errp);

    if (file) {
        dump_file_free(self->file);
        self->file = file;
    }
    return file != NULL;
}

static bool dump_setup(Filter *filter, GError **errp)
{
    return dump_open((Dump *)filter, errp);
}

static void dump_cleanup(Filter *filter)
{
    dump_file_free(((Dump *)filter)->file);
}

/* Who switches it off wants to read the file. */
static void dump_status_changed(Filter *filter)
{
    dump_file_flush(((Dump *)filter)->file);
}

static bool dump_property_changed(Filter *filter, const Property *row,
                                  GError **errp)
{
    Dump *self = (Dump *)filter;

    if (strcmp(row->name, "maxlen") == 0) {
        dump_file_set_snaplen(self->file, self->maxlen);
    } else if (strcmp(row->name, "file") == 0 &&
               strcmp(self->path, dump_file_path(self->file)) != 0 &&
               !dump_open(self, errp)) {
        g_free(self->path);
        self->path = g_strdup(dump_file_path(self->file));
        return false;
    }
    return true;
}

static void dump_reopen(Filter *filter)
{
    dump_file_reopen(((Dump *)filter)->file);
}

static const char *const format_words[] = {
    [PCAP_FORMAT_CLASSIC] = "pcap",
    [PCAP_FORMAT_NG] = "pcapng",
    NULL,
};

static const Property dump_props[] = {
    {.name = "file",
     PROP_FIELD_STRING(Dump, path),
     .flags = PROP_REQUIRED,
     .since = "0.1",
     .doc = "the capture file; it is made anew"},
    {.name = "maxlen",
     PROP_FIELD_UINT32(Dump, maxlen),
     .def = "65536",
     .min = 1,
     .zero_error = "Property 'filter-dump.maxlen' doesn't take value '0'",
     .since = "0.1",
     .doc = "the most bytes of a frame that are written"},
    {.name = "format",
     PROP_FIELD_ENUM(Dump, format),
     .flags = PROP_FIXED,
     .def = "pcap",
     .enum_name = "DumpFormat",
     .values = format_words,
     .since = "0.1",
     .doc = "pcap, or pcapng: nanoseconds, directions and drops"},
    {.name = "rotate-size",
     PROP_FIELD_SIZE(Dump, rotate_size),
     .flags = PROP_FIXED,
     .def = "0",
     .since = "0.1",
     .doc = "bytes after which a new file begins; 0: any number"},
    {.name = "rotate-interval",
     PROP_FIELD_UINT32(Dump, rotate_interval),
     .flags = PROP_FIXED,
     .def = "0",
     .since = "0.1",
     .doc = "seconds after which a new file begins; 0: never"},
    {.name = "rotate-keep",
     PROP_FIELD_UINT32(Dump, rotate_keep),
     .flags = PROP_FIXED,
     .def = "8",
     .max = 1000,
     .since = "0.1",
     .doc = "how many old files are kept, as FILE.1 (the newest), FILE.2, …"},
    PROP_END,
};

const FilterClass filter_dump_class = {
    .object =
        {
            .name = "filter-dump",
            .parent = &filter_class,
            .kind = OBJECT_KIND_OBJECT,
            .size = sizeof(Dump),
            .props = dump_props,
            .doc = "writes frames to a capture file",
        },
    .drop_causes = 1u << DROP_QUEUE_FULL,
    .setup = dump_setup,
    .cleanup = dump_cleanup,
    .packet = dump_packet,
    .status_changed = dump_status_changed,
    .property_changed = dump_property_changed,
    .reopen = dump_reopen,
};
