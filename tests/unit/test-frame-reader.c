/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames from a chardev that can't be disconnected. */
#include "chardev/descriptors.h"
#include "chardev/frame-reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib/gstdio.h>

typedef struct Seen {
    unsigned frames, malformed;
} Seen;

static void seen_packets(void *opaque, const PacketBatch *batch)
{
    ((Seen *)opaque)->frames += batch->n;
}

static void seen_malformed(void *opaque, uint32_t len)
{
    (void)len;
    ((Seen *)opaque)->malformed++;
}

static void seen_plain(void *opaque)
{
    (void)opaque;
}

static const FrameReaderHandlers seen_handlers = {
    .packets = seen_packets,
    .malformed = seen_malformed,
    .plain = seen_plain,
};

/* Where frames begin behind a length that can't be, nobody knows: it is not
 * read, and not looked at again and again either. */
static void test_pipe(void)
{
    static const uint8_t good[] = {0, 0, 0, 2, 'a', 'b'};
    static const uint8_t bad[] = {0xff, 0xff, 0xff, 0xff, 'c', 0, 0, 0};
    g_autofree char *path = g_build_filename(g_get_tmp_dir(), "XXXXXX", NULL);
    g_autofree char *fifo = NULL;
    g_autoptr(GError) error = NULL;
    json_auto_t *props = NULL;
    FrameReader *reader;
    Object *pipe;
    Seen seen = {0};
    int writer;

    g_assert_nonnull(g_mkdtemp(path));
    fifo = g_build_filename(path, "p", NULL);
    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    props = json_pack("{s:s}", "device", fifo);
    pipe = object_new(OBJECT_KIND_CHARDEV, "pipe", "p", props, PROP_SYNTAX_JSON,
                      &error);
    g_assert_no_error(error);
    reader = frame_reader_new("p", false, &seen_handlers, &seen, &error);
    g_assert_no_error(error);
    frame_reader_pause(reader, false);
    writer = open(fifo, O_WRONLY);
    g_assert_cmpint(write(writer, good, sizeof(good)), ==, sizeof(good));
    while (seen.frames == 0) {
        loop_iterate(true);
    }
    g_assert_cmpint(write(writer, bad, sizeof(bad)), ==, sizeof(bad));
    while (seen.malformed == 0) {
        loop_iterate(true);
    }
    for (int pauses = 0; pauses < 2; pauses++) {
        g_assert_cmpint(write(writer, good, sizeof(good)), ==, sizeof(good));
        loop_iterate(false);
        g_assert_cmpint(((ChardevDescriptors *)pipe)->in.fd, ==, -1);
        frame_reader_pause(reader, true);
        frame_reader_pause(reader, false);
    }
    g_assert_cmpuint(seen.frames, ==, 1);
    g_assert_cmpuint(seen.malformed, ==, 1);
    frame_reader_free(reader);
    g_assert_true(object_del(pipe, NULL));
    close(writer);
    g_remove(fifo);
    g_rmdir(path);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/frame-reader/pipe", test_pipe);
    return g_test_run();
}
