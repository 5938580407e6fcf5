/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Capture files on disk: rotation, files that were moved, and a disk that
 * takes no more, for which the process's own limit of a file's size stands in
 * (the kernel writes up to it and then says EFBIG).
 */
#include "base/loop.h"
#include "filter/dump-file.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib/gstdio.h>

typedef struct Place {
    char *directory;
    char *path;
    uint64_t lost;
} Place;

static void describe(void *opaque, PcapHeader *header)
{
    (void)opaque;
    header->snaplen = 65536;
}

static void lost(void *opaque, uint64_t packets, uint64_t bytes)
{
    ((Place *)opaque)->lost += packets;
    g_assert_cmpuint(bytes, ==, packets * 1000);
}

static const DumpFileHandlers handlers = {describe, lost};

static void place_init(Place *place)
{
    place->lost = 0;
    place->directory = g_dir_make_tmp("tapferry-XXXXXX", NULL);
    g_assert_nonnull(place->directory);
    place->path = g_build_filename(place->directory, "f", NULL);
}

/* Removes the files; there must be @expected. */
static void place_clear(Place *place, unsigned expected)
{
    g_autoptr(GDir) dir = g_dir_open(place->directory, 0, NULL);
    const char *name;
    unsigned n = 0;

    while ((name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(place->directory, name, NULL);

        g_unlink(path);
        n++;
    }
    g_assert_cmpuint(n, ==, expected);
    g_rmdir(place->directory);
    g_free(place->directory);
    g_free(place->path);
}

static DumpFile *make(Place *place, DumpFileConfig config)
{
    g_autoptr(GError) error = NULL;
    DumpFile *file;

    config.path = place->path;
    file = dump_file_new(&config, &handlers, place, &error);
    g_assert_no_error(error);
    return file;
}

/* Appends frames numbered from @first; returns how many were taken. */
static unsigned append(DumpFile *file, uint32_t first, unsigned n)
{
    uint8_t bytes[1000] = {0};
    unsigned taken = 0;

    for (unsigned i = 0; i < n; i++) {
        uint32_t number = first + i;
        PcapFrame frame = {.data = bytes,
                           .len = sizeof(bytes),
                           .caplen = sizeof(bytes),
                           .time_ns = 1};

        memcpy(bytes, &number, sizeof(number));
        taken += dump_file_append(file, &frame);
    }
    return taken;
}

/* The file @path holds whole units only; returns how many frames, whose
 * numbers go up from @first without gaps. */
static unsigned check_file(const char *path, PcapFormat format, uint32_t first)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    const uint8_t *data;
    gsize length, at = 24;
    unsigned n = 0;

    g_file_get_contents(path, &text, &length, &error);
    g_assert_no_error(error);
    data = (const uint8_t *)text;
    if (format == PCAP_FORMAT_NG) {
        at = 0;
    }
    while (at < length) {
        uint32_t len, number;

        if (pcap_unit_frame(format, data + at, &len)) {
            memcpy(&number, data + at + (format == PCAP_FORMAT_NG ? 28 : 16),
                   sizeof(number));
            g_assert_cmpuint(number, ==, first + n++);
        }
        at += pcap_unit_size(format, data + at);
    }
    g_assert_cmpuint(at, ==, length);
    return n;
}

static void set_limit(rlim_t bytes)
{
    struct rlimit limit;

    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = MIN(bytes, limit.rlim_max);
    setrlimit(RLIMIT_FSIZE, &limit);
}

/* Every limit within two records: cut in the header, in a record's head, in
 * its frame, behind it. */
static void test_no_room(gconstpointer data)
{
    PcapFormat format = (PcapFormat)GPOINTER_TO_INT(data);

    for (unsigned bytes = 0; bytes < 2200; bytes += 13) {
        Place place;
        DumpFile *file;
        unsigned taken;
        struct stat st;

        place_init(&place);
        file = make(&place, (DumpFileConfig){.format = format});
        g_stat(place.path, &st);
        set_limit((rlim_t)st.st_size + bytes);
        taken = append(file, 0, 10);
        g_assert_cmpuint(taken, ==, 10);
        dump_file_flush(file);
        g_assert_cmpuint(check_file(place.path, format, 0), ==,
                         bytes / pcap_frame_size(format, 1000));
        set_limit(RLIM_INFINITY);
        append(file, 10, 5);
        dump_file_flush(file);
        g_assert_cmpuint(check_file(place.path, format, 0), ==, 15);
        dump_file_free(file);
        g_assert_cmpuint(check_file(place.path, format, 0), ==, 15);
        g_assert_cmpuint(place.lost, ==, 0);
        place_clear(&place, 1);
    }
}

/* The buffer is bounded; what is in it at the end is lost, and said so. */
static void test_full_for_good(void)
{
    Place place;
    DumpFile *file;
    unsigned taken, there;

    place_init(&place);
    file = make(&place, (DumpFileConfig){.format = PCAP_FORMAT_NG});
    set_limit(10000);
    taken = append(file, 0, 1000);
    g_assert_cmpuint(taken, >, 200);
    g_assert_cmpuint(taken, <, 300);
    dump_file_free(file);
    set_limit(RLIM_INFINITY);
    there = check_file(place.path, PCAP_FORMAT_NG, 0);
    g_assert_cmpuint(there, ==, 9);
    g_assert_cmpuint(place.lost, ==, taken - there);
    place_clear(&place, 1);
}

static void test_rotate_size(gconstpointer data)
{
    PcapFormat format = (PcapFormat)GPOINTER_TO_INT(data);
    static const char *const names[] = {"", ".1", ".2"};
    unsigned counts[3];
    Place place;
    DumpFile *file;

    place_init(&place);
    file = make(&place, (DumpFileConfig){.format = format,
                                         .rotate_size = 10000,
                                         .rotate_keep = 2});
    g_assert_cmpuint(append(file, 0, 9 * 4 + 3), ==, 9 * 4 + 3);
    dump_file_free(file);
    for (unsigned i = 0; i < 3; i++) {
        g_autofree char *path = g_strconcat(place.path, names[i], NULL);
        struct stat st;

        counts[i] = check_file(path, format, i == 0 ? 36 : 36 - 9 * i);
        g_assert_cmpint(g_stat(path, &st), ==, 0);
        g_assert_cmpint(st.st_size, <=, 10000);
    }
    g_assert_cmpuint(counts[0], ==, 3);
    g_assert_cmpuint(counts[1], ==, 9);
    g_assert_cmpuint(counts[2], ==, 9);
    place_clear(&place, 3);
}

static void test_rotate_interval(void)
{
    Place place;
    DumpFile *file;
    g_autofree char *old = NULL;

    place_init(&place);
    old = g_strconcat(place.path, ".1", NULL);
    file =
        make(&place, (DumpFileConfig){.rotate_interval = 1, .rotate_keep = 1});
    append(file, 0, 2);
    for (unsigned i = 0; i < 40 && !g_file_test(old, G_FILE_TEST_EXISTS); i++) {
        g_usleep(100000);
        loop_iterate(false);
    }
    append(file, 2, 1);
    dump_file_free(file);
    g_assert_cmpuint(check_file(old, PCAP_FORMAT_CLASSIC, 0), ==, 2);
    g_assert_cmpuint(check_file(place.path, PCAP_FORMAT_CLASSIC, 2), ==, 1);
    place_clear(&place, 2);
}

static void test_reopen(void)
{
    Place place;
    DumpFile *file;
    g_autofree char *moved = NULL;

    place_init(&place);
    moved = g_strconcat(place.path, ".moved", NULL);
    file = make(&place, (DumpFileConfig){0});
    append(file, 0, 2);
    dump_file_reopen(file); /* it has its name still: nothing is lost */
    append(file, 2, 1);
    g_assert_cmpint(g_rename(place.path, moved), ==, 0);
    append(file, 3, 1);
    dump_file_reopen(file);
    append(file, 4, 1);
    dump_file_free(file);
    g_assert_cmpuint(check_file(moved, PCAP_FORMAT_CLASSIC, 0), ==, 4);
    g_assert_cmpuint(check_file(place.path, PCAP_FORMAT_CLASSIC, 4), ==, 1);
    place_clear(&place, 2);
}

static void test_timer(void)
{
    Place place;
    DumpFile *file;

    place_init(&place);
    file = make(&place, (DumpFileConfig){0});
    append(file, 0, 1);
    g_assert_cmpuint(check_file(place.path, PCAP_FORMAT_CLASSIC, 0), ==, 0);
    for (unsigned i = 0; i < 30; i++) {
        g_usleep(50000);
        loop_iterate(false);
    }
    g_assert_cmpuint(check_file(place.path, PCAP_FORMAT_CLASSIC, 0), ==, 1);
    dump_file_free(file);
    place_clear(&place, 1);
}

static void test_snaplen(gconstpointer data)
{
    PcapFormat format = (PcapFormat)GPOINTER_TO_INT(data);
    g_autofree char *text = NULL;
    uint32_t snaplen;
    gsize at = 16;
    Place place;
    DumpFile *file;

    place_init(&place);
    file = make(&place, (DumpFileConfig){.format = format});
    dump_file_set_snaplen(file, 100);
    dump_file_set_snaplen(file, 100000);
    append(file, 0, 1);
    dump_file_free(file);
    g_assert_true(g_file_get_contents(place.path, &text, NULL, NULL));
    if (format == PCAP_FORMAT_NG) {
        at = pcap_unit_size(format, (const uint8_t *)text) + 12;
    }
    memcpy(&snaplen, text + at, sizeof(snaplen));
    g_assert_cmpuint(snaplen, ==, 100000);
    place_clear(&place, 1);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGXFSZ, SIG_IGN);
    g_test_add_data_func("/dump-file/no-room/pcap",
                         GINT_TO_POINTER(PCAP_FORMAT_CLASSIC), test_no_room);
    g_test_add_data_func("/dump-file/no-room/pcapng",
                         GINT_TO_POINTER(PCAP_FORMAT_NG), test_no_room);
    g_test_add_func("/dump-file/full-for-good", test_full_for_good);
    g_test_add_data_func("/dump-file/rotate-size/pcap",
                         GINT_TO_POINTER(PCAP_FORMAT_CLASSIC),
                         test_rotate_size);
    g_test_add_data_func("/dump-file/rotate-size/pcapng",
                         GINT_TO_POINTER(PCAP_FORMAT_NG), test_rotate_size);
    g_test_add_func("/dump-file/rotate-interval", test_rotate_interval);
    g_test_add_func("/dump-file/reopen", test_reopen);
    g_test_add_func("/dump-file/timer", test_timer);
    g_test_add_data_func("/dump-file/snaplen/pcap",
                         GINT_TO_POINTER(PCAP_FORMAT_CLASSIC), test_snaplen);
    g_test_add_data_func("/dump-file/snaplen/pcapng",
                         GINT_TO_POINTER(PCAP_FORMAT_NG), test_snaplen);
    return g_test_run();
}
