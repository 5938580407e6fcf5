/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames that packet_segment() has to refuse, and hostile ones. */
#include "packet/segment.h"
#include "shaped-frame.h"

static void ignore_segment(void *opaque, const Packet *segment)
{
    (*(unsigned *)opaque)++;
}

static unsigned count_segments(const Packet *packet)
{
    g_autofree uint8_t *scratch = g_malloc(PACKET_MAX_LEN);
    unsigned called = 0;
    unsigned n = packet_segment(packet, scratch, ignore_segment, &called);

    g_assert_cmpuint(n, ==, called);
    return n;
}

/* What has to be refused, each made from a frame that is good. */
static void test_refused(void)
{
    static const Shape tcp = {.protocol = TCP, .payload = 4000, .size = 1000};
    Frame frame = frame_make(&tcp);
    const Packet good = frame_packet(&frame);
    const struct {
        const char *name;
        struct virtio_net_hdr vnet;
    } rows[] = {
        /* flags, type, header length, size, start and offset of checksum */
        {"ufo", {1, 3, 0, 1000, 34, 16}},
        {"other family", {1, 4, 0, 1000, 34, 16}},
        {"other protocol", {1, 5, 0, 1000, 34, 16}},
        {"tunnel", {1, 0x21, 0, 1000, 34, 16}},
        {"unknown", {1, 2, 0, 1000, 34, 16}},
        {"ecn alone", {1, 0x80, 0, 1000, 34, 16}},
        {"no size", {1, 1, 0, 0, 34, 16}},
        {"start", {1, 1, 0, 1000, 36, 16}},
        {"start beyond", {1, 1, 0, 1000, 65535, 16}},
        {"offset", {1, 1, 0, 1000, 34, 6}},
        {"header longer than frame", {1, 1, 4055, 1000, 34, 16}},
        {"checksum beyond", {1, 0, 0, 0, 4038, 16}},
        {"checksum at the end", {1, 0, 0, 0, 4037, 16}},
        {"checksum far beyond", {1, 0, 0, 0, 65535, 65535}},
        {"sctp", {1, 0, 0, 0, 34, 8}},
    };

    g_assert_cmpuint(count_segments(&good), ==, 4);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        Packet packet = good;

        packet.vnet = rows[i].vnet;
        g_test_message("%s", rows[i].name);
        g_assert_cmpuint(count_segments(&packet), ==, 0);
    }
    g_free(frame.data);
}

static void refuse(const Frame *frame)
{
    Packet packet = frame_packet(frame);

    g_assert_cmpuint(count_segments(&packet), ==, 0);
    g_free(frame->data);
}

static void refuse_changed(const Shape *shape, uint32_t at, uint8_t value)
{
    Frame frame = frame_make(shape);

    frame.data[at] = value;
    refuse(&frame);
}

/* Likewise, with one byte of the frame changed; and one of too many segments.
 */
static void test_refused_frames(void)
{
    static const Shape tcp4 = {.protocol = TCP, .payload = 4000, .size = 1000};
    static const Shape tcp6 = {.ipv6 = true,
                               .protocol = TCP,
                               .payload = 4000,
                               .size = 1000,
                               .ip_extra = 8};
    static const Shape tiny = {.protocol = TCP, .payload = 60000, .size = 1};
    Frame many = frame_make(&tiny);

    refuse_changed(&tcp4, 12, 0x09);         /* no IP */
    refuse_changed(&tcp4, 14, 0x65);         /* version */
    refuse_changed(&tcp4, 14, 0x44);         /* header length below 20 */
    refuse_changed(&tcp4, 14, 0x46);         /* not where csum_start says */
    refuse_changed(&tcp4, 20, 0x20);         /* more fragments */
    refuse_changed(&tcp4, 21, 0x01);         /* fragment offset */
    refuse_changed(&tcp4, 23, 17);           /* UDP */
    refuse_changed(&tcp4, 34 + 12, 4 << 4);  /* TCP header below 20 */
    refuse_changed(&tcp6, 14, 0x40);         /* version */
    refuse_changed(&tcp6, 14 + 6, 44);       /* fragment header */
    refuse_changed(&tcp6, 14 + 6, 59);       /* no next header */
    refuse_changed(&tcp6, 14 + 40 + 1, 255); /* extension beyond */
    refuse(&many); /* more segments than there may be */
}

/* Cut off anywhere in its headers, a frame is refused or comes out whole. */
static void test_truncated(void)
{
    for (size_t i = 0; i < SHAPES; i++) {
        Frame frame = frame_make(&shapes[i]);

        for (uint32_t n = 0; n < frame.payload; n++) {
            g_autofree uint8_t *data = g_memdup2(frame.data, n);
            Packet packet = frame_packet(&frame);

            packet.data = data;
            packet.len = n;
            packet.vnet.hdr_len = 0;
            g_assert_cmpuint(count_segments(&packet), ==, 0);
        }
        g_free(frame.data);
    }
}

static void random_vnet(struct virtio_net_hdr *vnet)
{
    static const uint8_t types[] = {0, 1, 3, 4, 5, 0x81, 0x84, 0x85};

    vnet->flags = (uint8_t)g_test_rand_int_range(0, 8);
    vnet->gso_type = types[g_test_rand_int_range(0, G_N_ELEMENTS(types))];
    vnet->hdr_len = (uint16_t)g_test_rand_int_range(0, 200);
    vnet->gso_size = (uint16_t)g_test_rand_int_range(0, 3000);
    if (g_test_rand_bit()) {
        vnet->csum_start = (uint16_t)g_test_rand_int_range(0, 200);
        vnet->csum_offset = (uint16_t)g_test_rand_int_range(0, 20);
    }
}

static void count_sane(void *opaque, const Packet *segment)
{
    (*(unsigned *)opaque)++;
    g_assert_cmpuint(segment->len, <=, PACKET_MAX_LEN);
    g_assert_false(packet_is_offloaded(segment));
}

/* Random headers on random bytes and on frames with some bytes changed: for
 * the sanitizers; every buffer is as long as what is in it. */
static void test_hostile(void)
{
    g_autofree uint8_t *scratch = g_malloc(PACKET_MAX_LEN);

    for (int i = 0; i < 30000; i++) {
        Shape shape = shapes[i % SHAPES];
        Frame frame;
        Packet packet;
        unsigned called = 0;

        shape.payload = (uint32_t)g_test_rand_int_range(0, 300);
        frame = frame_make(&shape);
        packet = frame_packet(&frame);
        if (i % 3 != 0) {
            random_vnet(&packet.vnet);
        }
        for (int j = g_test_rand_int_range(0, 6); j > 0; j--) {
            frame.data[g_test_rand_int_range(0, (int)MIN(frame.len, 120))] =
                (uint8_t)g_test_rand_int();
        }
        for (uint32_t j = 14; i % 5 == 0 && j < frame.len; j++) {
            frame.data[j] = (uint8_t)g_test_rand_int();
        }
        g_assert_cmpuint(packet_segment(&packet, scratch, count_sane, &called),
                         ==, called);
        g_free(frame.data);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/segment/refused", test_refused);
    g_test_add_func("/segment/refused-frames", test_refused_frames);
    g_test_add_func("/segment/truncated", test_truncated);
    g_test_add_func("/segment/hostile", test_hostile);
    return g_test_run();
}
