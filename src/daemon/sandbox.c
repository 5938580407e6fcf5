/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/sandbox.h"

#include "base/error.h"

#include <errno.h>
#include <linux/if_tun.h>
#include <linux/prctl.h>
#include <net/if.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

/* What the daemon, the C library's resolver and the libraries need once all is
 * set up. A name that an architecture does not have is left out. */
static const char *const sandbox_allowed[] = {
    /* memory and threads */
    "brk", "exit", "exit_group", "futex", "get_robust_list", "gettid",
    "madvise", "membarrier", "mremap", "munmap", "restart_syscall", "rseq",
    "sched_getaffinity", "sched_yield", "set_robust_list", "set_tid_address",
    "tgkill",
    /* signals */
    "rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigreturn",
    "rt_sigsuspend", "rt_sigtimedwait", "sigaltstack", "signalfd4",
    /* files: logs, dumps, pid file, names, keys */
    "access", "close", "close_range", "dup", "dup2", "dup3", "faccessat",
    "faccessat2", "fadvise64", "fallocate", "fcntl", "fcntl64", "fdatasync",
    "flock", "fstat", "fstat64", "fstatat64", "fsync", "ftruncate",
    "ftruncate64", "getcwd", "getdents64", "lseek", "lstat", "newfstatat",
    "open", "openat", "pipe2", "pread64", "preadv", "preadv2", "pwrite64",
    "pwritev", "read", "readlink", "readlinkat", "readv", "rename", "renameat",
    "renameat2", "stat", "statx", "unlink", "unlinkat", "write", "writev",
    /* sockets; socket() below */
    "accept", "accept4", "bind", "connect", "getpeername", "getsockname",
    "getsockopt", "listen", "recvfrom", "recvmmsg", "recvmsg", "sendmmsg",
    "sendmsg", "sendto", "setsockopt", "shutdown",
    /* the loop and time */
    "clock_getres", "clock_gettime", "clock_nanosleep", "epoll_create1",
    "epoll_ctl", "epoll_pwait", "epoll_pwait2", "epoll_wait", "eventfd2",
    "gettimeofday", "nanosleep", "poll", "ppoll", "pselect6", "select", "time",
    /* questions */
    "getegid", "geteuid", "getgid", "getpid", "getppid", "getrandom",
    "getrusage", "getuid", "sysinfo", "times", "uname",
    /* the VMM: what the guest got, and its TAP's descriptor */
    "kcmp", "pidfd_getfd", "pidfd_open", "process_vm_readv", "pwritev2"};

/* What nothing here ever calls, and an intruder would. */
static const char *const sandbox_fatal[] = {
    /* other programs, other processes, another user */
    "capset", "execve", "execveat", "fork", "process_vm_writev", "ptrace",
    "setfsgid", "setfsuid", "setgid", "setgroups", "setregid", "setresgid",
    "setresuid", "setreuid", "setuid", "vfork",
    /* the file system and name spaces */
    "chroot", "fsmount", "fsopen", "mount", "mount_setattr", "move_mount",
    "open_tree", "pivot_root", "setns", "swapoff", "swapon", "umount2",
    "unshare",
    /* the kernel */
    "add_key", "bpf", "delete_module", "finit_module", "init_module", "ioperm",
    "iopl", "kexec_file_load", "kexec_load", "keyctl", "perf_event_open",
    "reboot", "request_key", "userfaultfd"};

/* A call that is allowed where one of its arguments, under a mask, is so. */
typedef struct SandboxRule {
    const char *name;
    unsigned arg;
    scmp_datum_t mask, value;
} SandboxRule;

#define WHOLE UINT32_MAX

static const SandboxRule sandbox_rules[] = {
    {"socket", 0, WHOLE, AF_UNIX},
    {"socket", 0, WHOLE, AF_INET},
    {"socket", 0, WHOLE, AF_INET6},
    {"socket", 0, WHOLE, AF_PACKET},
    {"socket", 0, WHOLE, AF_XDP},
    {"socket", 0, WHOLE, AF_NETLINK},
    {"socketpair", 0, WHOLE, AF_UNIX},
    /* threads, no processes */
    {"clone", 0, CLONE_THREAD, CLONE_THREAD},
    /* no memory is both written and executed; libraries of the resolver are
     * mapped to be executed */
    {"mmap", 2, PROT_EXEC, 0},
    {"mmap", 2, PROT_EXEC | PROT_WRITE, PROT_EXEC},
    {"mprotect", 2, PROT_EXEC, 0},
    {"mprotect", 2, PROT_EXEC | PROT_WRITE, PROT_EXEC},
    {"prctl", 0, WHOLE, PR_SET_NAME},
    {"prctl", 0, WHOLE, PR_SET_VMA},
    /* limits are asked for, not set */
    {"prlimit64", 2, UINT64_MAX, 0},
    {"ioctl", 1, WHOLE, FIONREAD},
    {"ioctl", 1, WHOLE, FIONBIO},
    {"ioctl", 1, WHOLE, TCGETS},
    {"ioctl", 1, WHOLE, SIOCGIFINDEX},
    {"ioctl", 1, WHOLE, SIOCGIFNAME},
    {"ioctl", 1, WHOLE, SIOCGIFFLAGS},
    {"ioctl", 1, WHOLE, SIOCGIFHWADDR},
    {"ioctl", 1, WHOLE, SIOCGIFMTU},
    {"ioctl", 1, WHOLE, TUNGETIFF},
    {"ioctl", 1, WHOLE, TUNGETVNETHDRSZ},
    {"ioctl", 1, WHOLE, TUNGETDEVNETNS},
};

/* 0, or -errno. */
static int sandbox_add(scmp_filter_ctx filter, const char *const *names,
                       size_t n, uint32_t action)
{
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0; i++) {
        int number = seccomp_syscall_resolve_name(names[i]);

        if (number != __NR_SCMP_ERROR) {
            rc = seccomp_rule_add(filter, action, number, 0);
        }
    }
    return rc;
}

static int sandbox_add_rules(scmp_filter_ctx filter)
{
    int rc = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(sandbox_rules) && rc == 0; i++) {
        const SandboxRule *row = &sandbox_rules[i];
        struct scmp_arg_cmp condition = {
            .arg = row->arg,
            .op = SCMP_CMP_MASKED_EQ,
            .datum_a = row->mask,
            .datum_b = row->value,
        };

        rc = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW,
                                    seccomp_syscall_resolve_name(row->name), 1,
                                    &condition);
    }
    return rc;
}

static int sandbox_fill(scmp_filter_ctx filter)
{
    int rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);

    if (rc == 0) {
        rc = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH,
                              SCMP_ACT_KILL_PROCESS);
    }
    /* A search tree: a capture makes many calls. */
    if (rc == 0) {
        rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    }
    if (rc == 0) {
        rc = sandbox_add(filter, sandbox_allowed, G_N_ELEMENTS(sandbox_allowed),
                         SCMP_ACT_ALLOW);
    }
    if (rc == 0) {
        rc = sandbox_add(filter, sandbox_fatal, G_N_ELEMENTS(sandbox_fatal),
                         SCMP_ACT_KILL_PROCESS);
    }
    /* Its arguments can't be looked at; the C library falls back to clone. */
    if (rc == 0) {
        rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3),
                              0);
    }
    return rc == 0 ? sandbox_add_rules(filter) : rc;
}

bool sandbox_enter(GError **errp)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int rc = filter ? sandbox_fill(filter) : -ENOMEM;

    if (rc == 0) {
        rc = seccomp_load(filter);
    }
    if (filter) {
        seccomp_release(filter);
    }
    return rc == 0 ||
           tf_error_set_errno(errp, -rc, "can not install a seccomp filter");
}
