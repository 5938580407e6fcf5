/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A QMP client of the whole daemon: every command, on real objects. It runs in
 * a root directory and a network of its own, so that no file and no host of
 * this machine is touched.
 *
 * Input: what the client sends behind the negotiation.
 */
#include "base/log.h"
#include "fuzz.h"
#include "monitor/qmp-session.h"
#include "monitor/run-state.h"
#include "object/object.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define NEGOTIATION "{\"execute\":\"qmp_capabilities\"}"
#define ROUNDS 8

static void fuzz_require(bool ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(77);
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_require(unshare(CLONE_NEWNET | CLONE_NEWNS) == 0,
                 "a network of its own");
    /* The leak checker looks there for threads. */
    fuzz_require(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
                     mkdir("proc", 0755) == 0 &&
                     mount("proc", "proc", "proc", 0, "subset=pid") == 0,
                 "a proc of its own");
    fuzz_require(chroot(".") == 0, "a root directory of its own");
    signal(SIGPIPE, SIG_IGN);
    log_set_level(LOG_LEVEL_ERROR);
    return 0;
}

static void fuzz_appended(void *opaque)
{
    g_assert(g_str_has_suffix(((GString *)opaque)->str, "\r\n"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GString) out = g_string_new(NULL);
    QmpSession *session;

    /* A server that is told to wait for its peer waits; as in QEMU. */
    if (memmem(data, size, "wait", 4)) {
        return -1;
    }
    run_state_init(false);
    session = qmp_session_new(false, out, fuzz_appended, out);
    qmp_session_feed(session, NEGOTIATION, strlen(NEGOTIATION));
    qmp_session_feed(session, (const char *)data, size);
    for (int i = 0; i < ROUNDS; i++) {
        g_main_context_iteration(NULL, FALSE);
    }
    qmp_session_free(session);
    object_destroy_all();
    return 0;
}
