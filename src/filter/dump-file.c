/* SPDX-License-Identifier: BSD-2-Clause */
#include "filter/dump-file.h"

#include "base/error.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/version.h"
#include "packet/packet.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define BUFFER_SIZE (256 * 1024)
#define FLUSH_US 1000000
/* A pipe has a reader who looks on; it takes this much at a time. */
#define PIPE_FLUSH_US 100000
#define PIPE_RETRY_US 10000
#define PIPE_SIZE (1024 * 1024)

struct DumpFile {
    DumpFileConfig config; /* path is ours */
    const DumpFileHandlers *handlers;
    void *opaque;
    int fd;           /* -1: it could not be opened again; tried by the timer */
    bool regular;     /* not a pipe or a device: can be cut and rotated */
    bool failing;     /* the last write fell short: the timer tries again */
    uint64_t written; /* bytes in the file */
    uint8_t *buffer;
    size_t used;
    size_t lead; /* bytes at the buffer's start that are no unit: the header,
                    or the rest of a unit that a pipe took a part of */
    size_t snaplen_at; /* where in the file its snaplen is */
    uint32_t snaplen;  /* as it is there */
    int64_t rotate_us; /* CLOCK_MONOTONIC: when to rotate */
    PcapStatistics statistics;
    LoopTimer timer;
    LogLimit limit;
};

static int64_t dump_file_now_ns(void)
{
    return g_get_real_time() * 1000;
}

/* Writing */

/* The end of the last whole unit in the buffer's first @n bytes. @next: the
 * end of the unit behind. */
static size_t dump_file_whole(const DumpFile *self, size_t n, size_t *next)
{
    size_t whole = 0;

    *next = self->lead;
    if (self->lead == 0 && self->used > 0) {
        *next = pcap_unit_size(self->config.format, self->buffer);
    }
    while (*next <= n && whole < self->used) {
        whole = *next;
        if (whole < self->used) {
            *next += pcap_unit_size(self->config.format, self->buffer + whole);
        }
    }
    return whole;
}

/* The file took @n of the bytes in the buffer, and no more. */
static void dump_file_took(DumpFile *self, size_t n)
{
    size_t next, whole = dump_file_whole(self, n, &next);

    if (whole < n && self->regular) {
        off_t end = (off_t)(self->written + whole);

        if (ftruncate(self->fd, end) == 0 &&
            lseek(self->fd, end, SEEK_SET) == end) {
            n = whole;
        }
    }
    if (n > 0) {
        self->lead = n > whole ? next - n : 0;
    }
    self->used -= n;
    self->written += n;
    memmove(self->buffer, self->buffer + n, self->used);
}

static void dump_file_set_timer(DumpFile *self, uint64_t us)
{
    if (!self->timer.armed) {
        loop_timer_set(&self->timer, us);
    }
}

/* The timer tries again; that is said once. */
static void dump_file_complain(DumpFile *self, const char *what, int errnum)
{
    if (!self->failing && log_limit_pass(&self->limit)) {
        log_warning("dump", "%s: can not %s: %s; trying again",
                    self->config.path, what, strerror(errnum));
    }
    self->failing = true;
    dump_file_set_timer(self, FLUSH_US);
}

/* Writes the buffer; false: not all of it, errno says why. */
static bool dump_file_write(DumpFile *self)
{
    size_t before = self->used;
    ssize_t n;

    if (self->fd < 0 || self->used == 0) {
        return self->fd >= 0;
    }
    n = write(self->fd, self->buffer, self->used);
    if (n == (ssize_t)before) {
        self->written += before;
        self->used = self->lead = 0;
        return true;
    }
    if (n >= 0) {
        /* It took a part: the next call would say this. */
        errno = self->regular ? ENOSPC : EAGAIN;
    }
    before = (size_t)errno;
    dump_file_took(self, (size_t)MAX(n, 0));
    errno = (int)before;
    return false;
}

static void dump_file_open_again(DumpFile *self);
static void dump_file_discard(DumpFile *self);

static void dump_file_write_failed(DumpFile *self, int errnum)
{
    if (errnum == EAGAIN) {
        self->failing = true; /* a pipe's reader is slow */
        dump_file_set_timer(self, PIPE_RETRY_US);
        return;
    }
    dump_file_complain(self, "write", errnum);
    if (errnum == EPIPE) {
        /* The next reader needs a header first. */
        dump_file_discard(self);
        close(self->fd);
        self->fd = -1;
    }
}

void dump_file_flush(DumpFile *self)
{
    if (self->fd < 0) {
        dump_file_open_again(self);
    } else if (!dump_file_write(self)) {
        dump_file_write_failed(self, errno);
    } else if (self->failing) {
        self->failing = false;
        if (self->regular) {
            log_info("dump", "%s: writing again", self->config.path);
        }
    }
}

/* Opening and closing */

static void dump_file_start(DumpFile *self)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    PcapHeader header = {
        .format = self->config.format,
        .application = "tapferryd " TAPFERRY_VERSION,
    };
    g_autofree char *os = NULL;
    struct utsname name;

    if (uname(&name) == 0) {
        os = g_strdup_printf("%s %s", name.sysname, name.release);
        header.os = os;
        header.hardware = name.machine;
    }
    self->handlers->describe(self->opaque, &header);
    self->snaplen = header.snaplen;
    self->snaplen_at = pcap_append_header(bytes, &header);
    self->lead = self->used = MIN(bytes->len, BUFFER_SIZE);
    memcpy(self->buffer, bytes->data, self->used);
    self->written = 0;
    self->statistics = (PcapStatistics){.start_ns = dump_file_now_ns()};
    self->rotate_us = g_get_monotonic_time() +
                      (int64_t)self->config.rotate_interval * G_USEC_PER_SEC;
}

/* Makes the file and puts its header into the buffer. */
static bool dump_file_open(DumpFile *self)
{
    struct stat st;

    /* O_NONBLOCK: a named pipe whose reader is slow, or not there. */
    self->fd = open(
        self->config.path,
        O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0644);
    if (self->fd < 0) {
        return false;
    }
    self->regular = fstat(self->fd, &st) == 0 && S_ISREG(st.st_mode);
    if (!self->regular) {
        fcntl(self->fd, F_SETPIPE_SZ, PIPE_SIZE); /* if it is one */
    }
    dump_file_start(self);
    return true;
}

static void dump_file_open_again(DumpFile *self)
{
    if (!dump_file_open(self)) {
        dump_file_complain(self, "open", errno);
    } else if (!dump_file_write(self)) {
        dump_file_write_failed(self, errno);
    } else {
        self->failing = false;
    }
}

/* Frames that are still in the buffer go with it. */
static void dump_file_discard(DumpFile *self)
{
    uint64_t packets = 0, bytes = 0;
    uint32_t len;

    for (size_t at = self->lead; at < self->used;
         at += pcap_unit_size(self->config.format, self->buffer + at)) {
        if (pcap_unit_frame(self->config.format, self->buffer + at, &len)) {
            packets++;
            bytes += len;
        }
    }
    if (packets > 0) {
        self->handlers->lost(self->opaque, packets, bytes);
    }
    self->used = self->lead = 0;
}

static void dump_file_close(DumpFile *self)
{
    if (self->fd < 0) {
        return;
    }
    self->statistics.end_ns = dump_file_now_ns();
    if (self->used <= BUFFER_SIZE - PCAP_STATISTICS_SIZE ||
        dump_file_write(self)) {
        self->used += pcap_write_statistics(
            self->buffer + self->used, self->config.format, &self->statistics);
    }
    if (!dump_file_write(self)) {
        log_warning("dump", "%s: the end is missing: %s", self->config.path,
                    strerror(errno));
        dump_file_discard(self);
    }
    close(self->fd);
    self->fd = -1;
}

void dump_file_reopen(DumpFile *self)
{
    struct stat here, there;

    dump_file_flush(self);
    if (!self->regular ||
        (self->fd >= 0 && fstat(self->fd, &here) == 0 &&
         stat(self->config.path, &there) == 0 && here.st_dev == there.st_dev &&
         here.st_ino == there.st_ino &&
         (uint64_t)there.st_size >= self->written)) {
        return;
    }
    dump_file_close(self);
    dump_file_open_again(self);
}

/* Rotation */

static void dump_file_move(const DumpFile *self)
{
    g_autofree char *to = NULL;

    for (uint32_t i = self->config.rotate_keep; i > 0; i--) {
        g_autofree char *from =
            i > 1 ? g_strdup_printf("%s.%u", self->config.path, i - 1)
                  : g_strdup(self->config.path);

        g_free(to);
        to = g_strdup_printf("%s.%u", self->config.path, i);
        if (rename(from, to) < 0 && errno != ENOENT) {
            log_warning("dump", "%s: can not become %s: %s", from, to,
                        strerror(errno));
        }
    }
}

static bool dump_file_is_full(const DumpFile *self, size_t more)
{
    return self->config.rotate_size > 0 &&
           self->written + self->used + more + PCAP_STATISTICS_SIZE >
               self->config.rotate_size;
}

/* A file without frames is not worth keeping. A file that can't be written to
 * waits: its frames are in the buffer. */
static void dump_file_rotate_if_due(DumpFile *self, size_t more)
{
    if (self->statistics.received == 0 || !self->regular || self->failing ||
        (!dump_file_is_full(self, more) &&
         (self->config.rotate_interval == 0 ||
          g_get_monotonic_time() < self->rotate_us))) {
        return;
    }
    dump_file_flush(self);
    if (!self->failing) {
        dump_file_close(self);
        dump_file_move(self);
        dump_file_open_again(self);
    }
}

/* The file */

static void dump_file_tick(void *opaque)
{
    DumpFile *self = opaque;

    dump_file_flush(self);
    dump_file_rotate_if_due(self, 0);
    if (self->config.rotate_interval > 0 && self->statistics.received > 0) {
        dump_file_set_timer(self, FLUSH_US);
    }
}

DumpFile *dump_file_new(const DumpFileConfig *config,
                        const DumpFileHandlers *handlers, void *opaque,
                        GError **errp)
{
    DumpFile *self = g_new0(DumpFile, 1);

    G_STATIC_ASSERT(BUFFER_SIZE > 2 * PACKET_MAX_LEN);
    self->config = *config;
    self->config.path = g_strdup(config->path);
    self->handlers = handlers;
    self->opaque = opaque;
    self->buffer = g_malloc(BUFFER_SIZE);
    self->timer = LOOP_TIMER_INIT;
    loop_timer_open(&self->timer, dump_file_tick, self);
    if (!dump_file_open(self)) {
        tf_error_set_errno(errp, errno, "net dump: can't open %s",
                           config->path);
    } else if (!dump_file_write(self)) {
        tf_error_set_errno(errp, errno, "net dump: can't write to %s",
                           config->path);
        close(self->fd);
        self->fd = -1;
    } else {
        return self;
    }
    dump_file_free(self);
    return NULL;
}

void dump_file_free(DumpFile *self)
{
    if (!self) {
        return;
    }
    dump_file_close(self);
    loop_timer_close(&self->timer);
    g_free(self->buffer);
    g_free((char *)self->config.path);
    g_free(self);
}

bool dump_file_append(DumpFile *self, const PcapFrame *frame)
{
    size_t size = pcap_frame_size(self->config.format, frame->caplen);

    dump_file_rotate_if_due(self, size);
    if (self->used + size > BUFFER_SIZE && !self->failing) {
        dump_file_flush(self);
    }
    self->statistics.received++;
    if (self->fd < 0 || self->used + size > BUFFER_SIZE) {
        self->statistics.dropped++;
        return false;
    }
    self->used +=
        pcap_write_frame(self->buffer + self->used, self->config.format, frame);
    dump_file_set_timer(self, self->regular ? FLUSH_US : PIPE_FLUSH_US);
    return true;
}

void dump_file_set_snaplen(DumpFile *self, uint32_t snaplen)
{
    if (self->fd < 0 || snaplen <= self->snaplen) {
        return; /* the header's is an upper bound */
    }
    if (self->written <= self->snaplen_at) {
        memcpy(self->buffer + self->snaplen_at - self->written, &snaplen,
               sizeof(snaplen));
    } else if (pwrite(self->fd, &snaplen, sizeof(snaplen),
                      (off_t)self->snaplen_at) != sizeof(snaplen)) {
        log_warning("dump", "%s: its header keeps the old maxlen: %s",
                    self->config.path, strerror(errno));
    }
    self->snaplen = snaplen;
}

const char *dump_file_path(const DumpFile *self)
{
    return self->config.path;
}
