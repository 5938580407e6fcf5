/* SPDX-License-Identifier: BSD-2-Clause */
/* What comes out of packet_segment() is read back byte by byte. */
#include "packet/checksum.h"
#include "packet/segment.h"
#include "shaped-frame.h"

typedef struct Check {
    const Shape *shape;
    const Frame *frame;
    uint32_t index, done;
} Check;

static void check_ip(const Check *check, const Packet *segment)
{
    const Frame *frame = check->frame;
    const uint8_t *ip = segment->data + frame->l3;
    const uint8_t *was = frame->data + frame->l3;

    if (check->shape->ipv6) {
        g_assert_cmpuint(bytes_get(ip + 4, 2), ==,
                         segment->len - frame->l3 - 40);
        g_assert_cmpmem(ip, 4, was, 4);
        g_assert_cmpmem(ip + 6, frame->l4 - frame->l3 - 6, was + 6,
                        frame->l4 - frame->l3 - 6);
        return;
    }
    g_assert_cmpuint(bytes_get(ip + 2, 2), ==, segment->len - frame->l3);
    g_assert_cmpuint(bytes_get(ip + 4, 2), ==,
                     (bytes_get(was + 4, 2) + check->index) & 0xffff);
    g_assert_cmpuint(bytes_sum16(0, ip, frame->l4 - frame->l3), ==, 0xffff);
    g_assert_cmpmem(ip, 2, was, 2);
    g_assert_cmpmem(ip + 6, 4, was + 6, 4);
    g_assert_cmpmem(ip + 12, frame->l4 - frame->l3 - 12, was + 12,
                    frame->l4 - frame->l3 - 12);
}

static void check_transport(const Check *check, const Packet *segment,
                            bool last)
{
    const Frame *frame = check->frame;
    const uint8_t *l4 = segment->data + frame->l4;
    const uint8_t *was = frame->data + frame->l4;
    uint32_t l4_len = segment->len - frame->l4;
    uint8_t flags = check->shape->flags;

    g_assert_cmpuint(
        bytes_sum16(frame_pseudo_sum(check->shape, segment->data + frame->l3,
                                     frame->destination, l4_len),
                    l4, l4_len),
        ==, 0xffff);
    g_assert_cmpmem(l4, 4, was, 4);
    if (check->shape->protocol == UDP) {
        g_assert_cmpuint(bytes_get(l4 + 4, 2), ==, l4_len);
        return;
    }
    g_assert_cmpuint(bytes_get(l4 + 4, 4), ==,
                     bytes_get(was + 4, 4) + check->done);
    g_assert_cmpmem(l4 + 8, 5, was + 8, 5);
    flags &= (uint8_t) ~(last ? 0 : FIN | PSH);
    flags &= (uint8_t) ~(check->index ? CWR : 0);
    g_assert_cmphex(l4[13], ==, flags);
    g_assert_cmpmem(l4 + 14, 2, was + 14, 2);
    g_assert_cmpmem(l4 + 18, frame->payload - frame->l4 - 18, was + 18,
                    frame->payload - frame->l4 - 18);
}

static void check_segment(void *opaque, const Packet *segment)
{
    Check *check = opaque;
    const Frame *frame = check->frame;
    uint32_t n = segment->len - frame->payload;
    bool last = check->done + n == check->shape->payload;

    g_assert_cmpuint(segment->len, >=, frame->payload);
    g_assert_cmpuint(check->done + n, <=, check->shape->payload);
    g_assert_true(last || n == check->shape->size);
    g_assert_false(packet_is_offloaded(segment));
    g_assert_cmpint(segment->time_ns, ==, 42);
    g_assert_cmpint(segment->origin, ==, ORIGIN_INJECTED);
    g_assert_cmpmem(segment->data, frame->l3, frame->data, frame->l3);
    check_ip(check, segment);
    check_transport(check, segment, last);
    g_assert_cmpmem(segment->data + frame->payload, n,
                    frame->data + frame->payload + check->done, n);
    check->done += n;
    check->index++;
}

/* Segments the frame of @shape and returns the number. */
static unsigned check_shape(const Shape *shape)
{
    Frame frame = frame_make(shape);
    g_autofree uint8_t *scratch = g_malloc(PACKET_MAX_LEN);
    Packet packet = frame_packet(&frame);
    Check check = {.shape = shape, .frame = &frame};
    unsigned n = packet_segment(&packet, scratch, check_segment, &check);

    g_assert_cmpuint(n, ==, check.index);
    g_assert_cmpuint(check.done, ==, n ? shape->payload : 0);
    g_free(frame.data);
    return n;
}

static void test_gso(gconstpointer data)
{
    const Shape *shape = data;
    uint32_t n = (shape->payload + shape->size - 1) / shape->size;

    g_assert_cmpuint(check_shape(shape), ==, MAX(n, 1));
}

static void test_gso_random(void)
{
    for (int i = 0; i < 3000; i++) {
        Shape shape = {
            .ipv6 = g_test_rand_bit(),
            .protocol = g_test_rand_bit() ? TCP : UDP,
            .tags = g_test_rand_int_range(0, 3),
            .payload = (uint32_t)g_test_rand_int_range(0, 9000),
            .size = (uint16_t)g_test_rand_int_range(8, 3000),
            .flags = (uint8_t)g_test_rand_int(),
            .tcp_options = 4 * g_test_rand_int_range(0, 11),
            .gso_bits = g_test_rand_bit() ? VIRTIO_NET_HDR_GSO_ECN : 0,
        };

        shape.ip_extra = shape.ipv6 ? 8 * g_test_rand_int_range(0, 4)
                                    : 4 * g_test_rand_int_range(0, 11);
        g_assert_cmpuint(check_shape(&shape), >, 0);
    }
}

/* Without NEEDS_CSUM (a frame that was put together on reception) the headers
 * alone have to do; a UDP checksum that is switched off stays off. */
static void test_gso_valid_checksum(void)
{
    g_autofree uint8_t *scratch = g_malloc(PACKET_MAX_LEN);

    for (size_t i = 0; i < SHAPES; i++) {
        Frame frame = frame_make(&shapes[i]);
        Packet packet = frame_packet(&frame);
        Check check = {.shape = &shapes[i], .frame = &frame};
        bool routed = shapes[i].ipv6 && shapes[i].ip_extra;

        packet.vnet.flags = VIRTIO_NET_HDR_F_DATA_VALID;
        packet.vnet.csum_start = 0;
        g_assert_cmpuint(
            packet_segment(&packet, scratch, check_segment, &check) == 0, ==,
            routed);
        g_free(frame.data);
    }
}

static void check_no_checksum(void *opaque, const Packet *segment)
{
    g_assert_cmpuint(bytes_get(segment->data + 14 + 20 + 6, 2), ==, 0);
}

static void test_udp_without_checksum(void)
{
    static const Shape shape = {.protocol = UDP, .payload = 500, .size = 100};
    g_autofree uint8_t *scratch = g_malloc(PACKET_MAX_LEN);
    Frame frame = frame_make(&shape);
    Packet packet = frame_packet(&frame);

    packet.vnet.flags = 0;
    bytes_put(frame.data + frame.l4 + 6, 2, 0);
    g_assert_cmpuint(packet_segment(&packet, scratch, check_no_checksum, NULL),
                     ==, 5);
    g_free(frame.data);
}

static void check_same(void *opaque, const Packet *segment)
{
    const Packet *packet = opaque;

    g_assert_true(segment->data == packet->data);
    g_assert_cmpuint(segment->len, ==, packet->len);
    g_assert_cmpuint(segment->vnet.flags, ==, VIRTIO_NET_HDR_F_DATA_VALID);
    g_assert_cmpuint(segment->vnet.hdr_len, ==, 0);
}

static void test_plain(void)
{
    static const uint8_t bytes[60] = {1, 2, 3};
    Packet packet = {
        .data = bytes,
        .len = sizeof(bytes),
        .vnet = {.flags = VIRTIO_NET_HDR_F_DATA_VALID, .hdr_len = 9},
    };
    uint8_t scratch[1];

    g_assert_cmpuint(packet_segment(&packet, scratch, check_same, &packet), ==,
                     1);
}

static void test_checksum_only(void)
{
    for (size_t i = 0; i < SHAPES; i++) {
        Shape shape = shapes[i];

        shape.size = 0;
        g_assert_cmpuint(check_shape(&shape), ==, 1);
    }
}

static void check_zero(void *opaque, const Packet *segment)
{
    g_assert_cmphex(bytes_get(segment->data + 14 + 20 + 6, 2), ==, 0xffff);
}

/* A checksum that comes out as zero is sent as 0xffff. */
static void test_checksum_zero(void)
{
    static const Shape shape = {.protocol = UDP, .payload = 2};
    g_autofree uint8_t *scratch = g_malloc(PACKET_MAX_LEN);
    Frame frame = frame_make(&shape);
    Packet packet = frame_packet(&frame);

    bytes_put(frame.data + frame.payload, 2, 0);
    bytes_put(frame.data + frame.payload, 2,
              0xffff -
                  bytes_sum16(0, frame.data + frame.l4, frame.len - frame.l4));
    g_assert_cmpuint(packet_segment(&packet, scratch, check_zero, NULL), ==, 1);
    g_free(frame.data);
}

/* RFC 1071, section 3: the example; and every length and alignment. */
static void test_checksum(void)
{
    static const uint8_t example[] = {0x00, 0x01, 0xf2, 0x03,
                                      0xf4, 0xf5, 0xf6, 0xf7};
    uint8_t bytes[64];
    uint8_t field[2];

    checksum_store(checksum_add(0, example, sizeof(example)), field);
    g_assert_cmphex(bytes_get(field, 2), ==, 0xffff - 0xddf2);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)g_test_rand_int();
    }
    for (uint32_t from = 0; from < 8; from++) {
        for (uint32_t n = 1; n < sizeof(bytes) - from; n++) {
            uint32_t expected = 0xffff - bytes_sum16(0, bytes + from, n);

            checksum_store(checksum_add(0, bytes + from, n), field);
            g_assert_cmphex(bytes_get(field, 2), ==,
                            expected ? expected : 0xffff);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/segment/checksum", test_checksum);
    for (size_t i = 0; i < SHAPES; i++) {
        g_autofree char *name =
            g_strconcat("/segment/gso/", shapes[i].name, NULL);

        g_test_add_data_func(name, &shapes[i], test_gso);
    }
    g_test_add_func("/segment/gso-random", test_gso_random);
    g_test_add_func("/segment/gso-valid-checksum", test_gso_valid_checksum);
    g_test_add_func("/segment/udp-without-checksum", test_udp_without_checksum);
    g_test_add_func("/segment/plain", test_plain);
    g_test_add_func("/segment/checksum-only", test_checksum_only);
    g_test_add_func("/segment/checksum-zero", test_checksum_zero);
    return g_test_run();
}
