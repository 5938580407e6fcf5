/* SPDX-License-Identifier: BSD-2-Clause */
/* What the seccomp filter lets a process do, each in a process of its own. */
#include "daemon/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs @act in the sandbox: its wait status. What it returns, 0 to 255, is
 * the exit status. */
static int in_sandbox(int (*act)(void))
{
    pid_t child = fork();
    int status;

    g_assert_cmpint(child, >=, 0);
    if (child == 0) {
        struct rlimit no_core = {0, 0};

        setrlimit(RLIMIT_CORE, &no_core);
        _exit(sandbox_enter(NULL) ? act() : 255);
    }
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    return status;
}

static int result(long rc)
{
    return rc < 0 ? errno : 0;
}

/* What ends the process */

static int do_exec(void)
{
    return result(execl("/bin/true", "true", NULL));
}

static int do_exec_at(void)
{
    return result(syscall(SYS_execveat, AT_FDCWD, "/bin/true", NULL, NULL, 0));
}

static int do_ptrace(void)
{
    return result(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int do_mount(void)
{
    return result(mount("none", "/", "tmpfs", MS_RDONLY, NULL));
}

static int do_module(void)
{
    return result(syscall(SYS_init_module, NULL, 0, ""));
}

static int do_setuid(void)
{
    return result(setuid(0));
}

static int do_keyctl(void)
{
    return result(syscall(SYS_keyctl, 0, 0, 0, 0, 0));
}

static int do_bpf(void)
{
    return result(syscall(SYS_bpf, 0, NULL, 0));
}

static int do_unshare(void)
{
    return result(unshare(CLONE_NEWNET));
}

static int do_write_memory(void)
{
    return result(
        syscall(SYS_process_vm_writev, getppid(), NULL, 0, NULL, 0, 0));
}

static void test_fatal(void)
{
    static int (*const acts[])(void) = {
        do_exec,   do_exec_at, do_ptrace, do_mount,   do_module,
        do_setuid, do_keyctl,  do_bpf,    do_unshare, do_write_memory};

    for (size_t i = 0; i < G_N_ELEMENTS(acts); i++) {
        int status = in_sandbox(acts[i]);

        g_test_message("act %zu", i);
        g_assert_true(WIFSIGNALED(status));
        g_assert_cmpint(WTERMSIG(status), ==, SIGSYS);
    }
}

/* What is refused */

static int do_fork(void)
{
    return result(syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0));
}

static int do_kill(void)
{
    return result(kill(getppid(), 0));
}

static int do_bluetooth(void)
{
    return result(socket(AF_BLUETOOTH, SOCK_RAW, 0));
}

static int do_executable_memory(void)
{
    void *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return map == MAP_FAILED ? errno : 0;
}

static int do_limit(void)
{
    struct rlimit limit = {10, 10};

    return result(setrlimit(RLIMIT_NOFILE, &limit));
}

static int do_priority(void)
{
    return result(setpriority(PRIO_PROCESS, 0, 0));
}

static int do_dumpable(void)
{
    return result(prctl(PR_SET_DUMPABLE, 1));
}

static int do_chmod(void)
{
    return result(chmod("/nosuch", 0777));
}

static void test_refused(void)
{
    static int (*const acts[])(void) = {
        do_fork,  do_kill,     do_bluetooth, do_executable_memory,
        do_limit, do_priority, do_dumpable,  do_chmod};

    for (size_t i = 0; i < G_N_ELEMENTS(acts); i++) {
        int status = in_sandbox(acts[i]);

        g_test_message("act %zu", i);
        g_assert_true(WIFEXITED(status));
        g_assert_cmpint(WEXITSTATUS(status), ==, EPERM);
    }
}

/* What the daemon does */

static gpointer thread_func(gpointer opaque)
{
    return opaque;
}

static int do_thread(void)
{
    GThread *thread = g_thread_new("test", thread_func, (gpointer)7);

    return g_thread_join(thread) == (gpointer)7 ? 0 : 1;
}

static int do_sockets(void)
{
    static const int families[] = {AF_UNIX, AF_INET, AF_NETLINK};

    for (size_t i = 0; i < G_N_ELEMENTS(families); i++) {
        int fd = socket(families[i], SOCK_DGRAM | SOCK_CLOEXEC, 0);

        if (fd < 0) {
            return errno;
        }
        close(fd);
    }
    return 0;
}

static int do_resolve(void)
{
    struct addrinfo *list = NULL;
    int rc = getaddrinfo("localhost", "80", NULL, &list);

    if (rc == 0) {
        freeaddrinfo(list);
    }
    return rc ? 1 : 0;
}

static int do_file(void)
{
    char path[] = "/tmp/test-sandbox-XXXXXX";
    int fd = g_mkstemp(path);

    return fd < 0 || write(fd, "x", 1) != 1 || fsync(fd) < 0 ||
                   unlink(path) < 0 || close(fd) < 0
               ? errno
               : 0;
}

static int do_wait(void)
{
    struct timespec soon = {.tv_nsec = 1};
    struct epoll_event event;
    int fd = epoll_create1(EPOLL_CLOEXEC);

    return fd < 0 || epoll_pwait2(fd, &event, 1, &soon, NULL) < 0 ? errno : 0;
}

static int do_pidfd(void)
{
    return result(syscall(SYS_pidfd_open, getppid(), 0));
}

static void test_allowed(void)
{
    static int (*const acts[])(void) = {do_thread, do_sockets, do_resolve,
                                        do_file,   do_wait,    do_pidfd};

    for (size_t i = 0; i < G_N_ELEMENTS(acts); i++) {
        int status = in_sandbox(acts[i]);

        g_test_message("act %zu", i);
        g_assert_true(WIFEXITED(status));
        g_assert_cmpint(WEXITSTATUS(status), ==, 0);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sandbox/fatal", test_fatal);
    g_test_add_func("/sandbox/refused", test_refused);
    g_test_add_func("/sandbox/allowed", test_allowed);
    return g_test_run();
}
