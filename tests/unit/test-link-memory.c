/* SPDX-License-Identifier: BSD-2-Clause */
#include "switchover/link-memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib.h>

/* An interface of this process alone. */
static const char *ifname(void)
{
    static char name[32];

    g_snprintf(name, sizeof(name), "test%d", (int)getpid());
    return name;
}

static LinkMemory *memory(void)
{
    return link_memory_new("rd0", ifname());
}

/* Owned. */
static char *page_name(void)
{
    struct stat ns;

    g_assert_cmpint(stat("/proc/thread-self/ns/net", &ns), ==, 0);
    return g_strdup_printf("/tapferry-%" G_GUINT64_FORMAT "-%s-rd0",
                           (uint64_t)ns.st_ino, ifname());
}

static bool is_there(void)
{
    g_autofree char *name = page_name();
    g_autofree char *path = g_strconcat("/dev/shm", name, NULL);

    return access(path, F_OK) == 0;
}

/* The next one goes on where the last one ended, wherever that was. */
static void test_recall(void)
{
    LinkMemory *self = memory();
    uint64_t session = 1, settled = 1;

    g_assert_false(link_memory_recall(self, &session, &settled));
    g_assert_false(is_there()); /* nothing is made before there is need */
    link_memory_begin(self, 77, 10);
    link_memory_settle(self, 25);
    link_memory_settle(self, 20);
    link_memory_free(self);
    self = memory();
    g_assert_true(link_memory_recall(self, &session, &settled));
    g_assert_cmpuint(session, ==, 77);
    g_assert_cmpuint(settled, ==, 25);
    link_memory_begin(self, 78, 5); /* another source, from the start */
    link_memory_free(self);
    self = memory();
    g_assert_true(link_memory_recall(self, &session, &settled));
    g_assert_cmpuint(session, ==, 78);
    g_assert_cmpuint(settled, ==, 5);
    link_memory_end(self);
    g_assert_false(is_there());
    link_memory_settle(self, 6); /* too late */
    link_memory_free(self);
    self = memory();
    g_assert_false(link_memory_recall(self, &session, &settled));
    link_memory_free(self);
}

/* What a daemon has that lives is not taken from it. */
static void test_in_use(void)
{
    LinkMemory *first = memory(), *second;
    uint64_t session = 0, settled = 0;

    link_memory_begin(first, 77, 10);
    second = memory();
    g_assert_false(link_memory_recall(second, &session, &settled));
    link_memory_begin(second, 78, 20);
    link_memory_settle(second, 30);
    link_memory_free(second);
    link_memory_free(first);
    first = memory();
    g_assert_true(link_memory_recall(first, &session, &settled));
    g_assert_cmpuint(session, ==, 77);
    g_assert_cmpuint(settled, ==, 10);
    link_memory_end(first);
    link_memory_free(first);
}

static void leave_page(const void *bytes, size_t n, mode_t mode)
{
    g_autofree char *name = page_name();
    int fd = shm_open(name, O_RDWR | O_CREAT, 0600);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(write(fd, bytes, n), ==, (ssize_t)n);
    g_assert_cmpint(fchmod(fd, mode), ==, 0);
    close(fd);
}

/* One that died in the middle of making it, or something else of that name. */
static void test_strange(void)
{
    static const char nonsense[24] = "nonsense, as long as it";
    uint64_t session, settled;
    LinkMemory *self;

    leave_page("", 0, 0600);
    self = memory();
    g_assert_false(link_memory_recall(self, &session, &settled));
    link_memory_begin(self, 77, 10);
    g_assert_true(link_memory_recall(self, &session, &settled));
    link_memory_end(self);
    link_memory_free(self);

    leave_page(nonsense, sizeof(nonsense), 0600);
    self = memory();
    g_assert_false(link_memory_recall(self, &session, &settled));
    link_memory_begin(self, 77, 10);
    g_assert_true(link_memory_recall(self, &session, &settled));
    link_memory_free(self);

    leave_page("", 0, 0666); /* others could write it */
    self = memory();
    g_assert_false(link_memory_recall(self, &session, &settled));
    link_memory_begin(self, 77, 10);
    g_assert_false(link_memory_recall(self, &session, &settled));
    link_memory_free(self);
    leave_page("", 0, 0600);
    self = memory();
    link_memory_begin(self, 77, 10);
    link_memory_end(self);
    link_memory_free(self);
    g_assert_false(is_there());
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/link-memory/recall", test_recall);
    g_test_add_func("/link-memory/in-use", test_in_use);
    g_test_add_func("/link-memory/strange", test_strange);
    return g_test_run();
}
