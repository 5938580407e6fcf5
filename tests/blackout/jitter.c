/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A library to be preloaded (ld.so(8)): the process waits before and behind one
 * system call in some, as one that has to wait for a processor. It finds what
 * goes wrong between two calls that mostly follow each other at once.
 *
 *   JITTER_ONE_IN   calls of which one waits   (30)
 *   JITTER_US       how long, at the most      (600)
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static uint64_t one_in = 30, most_us = 600;

static uint64_t number_from(const char *name, uint64_t usual)
{
    const char *text = getenv(name);

    return text ? strtoull(text, NULL, 10) : usual;
}

__attribute__((constructor)) static void jitter_init(void)
{
    one_in = number_from("JITTER_ONE_IN", one_in);
    most_us = number_from("JITTER_US", most_us);
}

/* xorshift64, of each thread. */
static uint64_t jitter_dice(void)
{
    static __thread uint64_t state;
    struct timespec now;

    if (state == 0) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        state = (uint64_t)now.tv_nsec * 2654435761u + (uint64_t)getpid();
        state |= 1;
    }
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void jitter_wait(void)
{
    uint64_t dice = jitter_dice();
    struct timespec time = {0};

    if (one_in > 0 && dice % one_in == 0) {
        time.tv_nsec = (long)((dice >> 20) % (most_us * 1000 + 1));
        syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &time, NULL);
    }
}

/* Defines @name, which is as the C library's but for the waits. */
#define JITTER(type, name, parameters, arguments)                              \
    type name parameters                                                       \
    {                                                                          \
        static type(*real) parameters;                                         \
        type result;                                                           \
                                                                               \
        if (!real) {                                                           \
            real = (type(*) parameters)dlsym(RTLD_NEXT, #name);                \
        }                                                                      \
        jitter_wait();                                                         \
        result = real arguments;                                               \
        jitter_wait();                                                         \
        return result;                                                         \
    }

JITTER(ssize_t, read, (int fd, void *bytes, size_t n), (fd, bytes, n))
JITTER(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags),
       (fd, message, flags))
JITTER(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags),
       (fd, message, flags))
JITTER(int, recvmmsg,
       (int fd, struct mmsghdr *messages, unsigned n, int flags,
        struct timespec *timeout),
       (fd, messages, n, flags, timeout))
JITTER(int, sendmmsg, (int fd, struct mmsghdr *messages, unsigned n, int flags),
       (fd, messages, n, flags))
JITTER(ssize_t, recvfrom,
       (int fd, void *restrict bytes, size_t n, int flags,
        struct sockaddr *restrict from, socklen_t *restrict len),
       (fd, bytes, n, flags, from, len))
JITTER(ssize_t, sendto,
       (int fd, const void *bytes, size_t n, int flags,
        const struct sockaddr *to, socklen_t len),
       (fd, bytes, n, flags, to, len))
JITTER(ssize_t, process_vm_readv,
       (pid_t pid, const struct iovec *to, unsigned long n_to,
        const struct iovec *from, unsigned long n_from, unsigned long flags),
       (pid, to, n_to, from, n_from, flags))
JITTER(ssize_t, preadv2,
       (int fd, const struct iovec *to, int n, off_t offset, int flags),
       (fd, to, n, offset, flags))
JITTER(int, epoll_pwait2,
       (int fd, struct epoll_event *events, int n,
        const struct timespec *timeout, const sigset_t *mask),
       (fd, events, n, timeout, mask))
