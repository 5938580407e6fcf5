/* SPDX-License-Identifier: BSD-2-Clause */
#include "switchover/link-memory.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC UINT64_C(0x7461706672727931) /* tapfrry1 */

/* Written by who holds the lock on it alone. */
typedef struct LinkMemoryPage {
    uint64_t magic;
    uint64_t session; /* 0: none */
    uint64_t settled;
} LinkMemoryPage;

struct LinkMemory {
    const char *owner; /* for the log; borrowed */
    char *name;
    int fd;                        /* of page, locked */
    volatile LinkMemoryPage *page; /* read by the next daemon; or NULL */
    bool warned;
};

/* Is @fd ours alone, and no other process has it? Sets errno. */
static bool memory_is_ours(int fd, struct stat *st)
{
    if (fstat(fd, st) != 0) {
        return false;
    }
    errno = EPERM;
    if (!S_ISREG(st->st_mode) || st->st_uid != geteuid() ||
        (st->st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        return false;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        errno = EBUSY;
        return false;
    }
    return true;
}

/* Written, so that there is room for what is stored there later on. */
static bool memory_write(int fd)
{
    LinkMemoryPage page = {.magic = MAGIC};

    return ftruncate(fd, 0) == 0 &&
           pwrite(fd, &page, sizeof(page), 0) == sizeof(page);
}

/* @create: makes it, if it is not there. */
static bool memory_open(LinkMemory *self, bool create)
{
    int fd = shm_open(self->name, O_RDWR | O_CLOEXEC | (create ? O_CREAT : 0),
                      S_IRUSR | S_IWUSR);
    void *page = MAP_FAILED;
    struct stat st;

    if (fd >= 0 && memory_is_ours(fd, &st) &&
        (st.st_size == sizeof(LinkMemoryPage) ||
         (create && memory_write(fd)))) {
        page = mmap(NULL, sizeof(LinkMemoryPage), PROT_READ | PROT_WRITE,
                    MAP_SHARED, fd, 0);
    }
    if (page == MAP_FAILED) {
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    self->fd = fd;
    self->page = page;
    return true;
}

static void memory_close(LinkMemory *self)
{
    if (self->page) {
        munmap((void *)self->page, sizeof(*self->page));
        close(self->fd);
        self->page = NULL;
    }
}

LinkMemory *link_memory_new(const char *name, const char *ifname)
{
    LinkMemory *self = g_new0(LinkMemory, 1);
    struct stat ns = {0};

    stat("/proc/thread-self/ns/net", &ns);
    self->owner = name;
    self->name = g_strdup_printf("/tapferry-%" G_GUINT64_FORMAT "-%s-%s",
                                 (uint64_t)ns.st_ino, ifname, name);
    return self;
}

void link_memory_free(LinkMemory *self)
{
    if (self) {
        memory_close(self);
        g_free(self->name);
        g_free(self);
    }
}

bool link_memory_recall(LinkMemory *self, uint64_t *session, uint64_t *settled)
{
    if ((!self->page && !memory_open(self, false)) ||
        self->page->magic != MAGIC || self->page->session == 0) {
        return false;
    }
    *session = self->page->session;
    *settled = self->page->settled;
    return true;
}

void link_memory_begin(LinkMemory *self, uint64_t session, uint64_t settled)
{
    if (!self->page && !memory_open(self, true)) {
        if (!self->warned) {
            log_warning("switchover",
                        "%s: no shared memory for what the guest got (%s): if "
                        "this daemon dies some of it may come twice",
                        self->owner, g_strerror(errno));
        }
        self->warned = true;
        return;
    }
    self->page->session = 0; /* whoever reads it now is told nothing wrong */
    self->page->magic = MAGIC;
    self->page->settled = settled;
    self->page->session = session;
}

void link_memory_settle(LinkMemory *self, uint64_t settled)
{
    if (self->page && settled > self->page->settled) {
        self->page->settled = settled;
    }
}

void link_memory_end(LinkMemory *self)
{
    if (self->page) {
        shm_unlink(self->name);
        memory_close(self);
    }
}
