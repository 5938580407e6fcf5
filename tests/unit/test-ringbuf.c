/* SPDX-License-Identifier: BSD-2-Clause */
/* The ringbuf chardev: the last bytes written, taken once, in order. */
#include "chardev/ringbuf.h"

#include <string.h>

static Chardev *ringbuf_make(json_int_t size)
{
    json_auto_t *props = json_pack("{s:I}", "size", size);
    g_autoptr(GError) error = NULL;
    Object *obj = object_new(OBJECT_KIND_CHARDEV, "ringbuf", "r", props,
                             PROP_SYNTAX_JSON, &error);

    g_assert_no_error(error);
    return (Chardev *)obj;
}

static void ringbuf_put(Chardev *chardev, const char *text)
{
    struct iovec iov = {.iov_base = (char *)text, .iov_len = strlen(text)};

    g_assert_cmpint(chardev_writev(chardev, &iov, 1), ==, strlen(text));
}

static void ringbuf_expect(Chardev *chardev, size_t size, const char *text)
{
    char buffer[64];
    size_t n = chardev_ringbuf_take(chardev, buffer, size);

    g_assert_cmpmem(buffer, n, text, strlen(text));
}

static void test_order(void)
{
    Chardev *chardev = ringbuf_make(8);

    ringbuf_expect(chardev, 8, "");
    ringbuf_put(chardev, "abc");
    ringbuf_expect(chardev, 2, "ab");
    ringbuf_put(chardev, "defghi");
    ringbuf_expect(chardev, 64, "cdefghi");
    ringbuf_expect(chardev, 64, "");
    object_destroy(&chardev->object);
}

static void test_overwrite(void)
{
    Chardev *chardev = ringbuf_make(8);

    ringbuf_put(chardev, "0123456789");
    ringbuf_expect(chardev, 3, "234");
    ringbuf_put(chardev, "abcdefghijklmnopqrstuvwxyz");
    ringbuf_expect(chardev, 64, "stuvwxyz");
    object_destroy(&chardev->object);
}

static void test_find(void)
{
    Chardev *chardev = ringbuf_make(1);
    g_autoptr(GError) error = NULL;

    g_assert_true(chardev_ringbuf_find("r", NULL) == chardev);
    g_assert_null(chardev_ringbuf_find("x", &error));
    g_assert_error(error, TF_ERROR, TF_ERROR_GENERIC);
    object_destroy(&chardev->object);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ringbuf/order", test_order);
    g_test_add_func("/ringbuf/overwrite", test_overwrite);
    g_test_add_func("/ringbuf/find", test_find);
    return g_test_run();
}
