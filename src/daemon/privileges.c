/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/privileges.h"

#include "base/error.h"

#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <unistd.h>

static const unsigned privileges_kept[] = {CAP_NET_RAW, CAP_NET_ADMIN,
                                           CAP_SYS_PTRACE};

/* What a change of the user leaves permitted is in force again. */
static bool privileges_raise(void)
{
    if (capng_get_caps_process() < 0) {
        return false;
    }
    for (unsigned cap = 0; cap <= (unsigned)CAP_LAST_CAP; cap++) {
        if (capng_have_capability(CAPNG_PERMITTED, cap)) {
            capng_update(CAPNG_ADD, CAPNG_EFFECTIVE, cap);
        }
    }
    return capng_apply(CAPNG_SELECT_CAPS) == 0;
}

bool privileges_become(const char *user, GError **errp)
{
    const struct passwd *entry;

    errno = 0;
    entry = getpwnam(user);
    if (!entry) {
        return errno ? tf_error_set_errno(errp, errno,
                                          "-user %s: can not look it up", user)
                     : tf_error_set(errp, "-user %s: there is no such user",
                                    user);
    }
    if (geteuid() == entry->pw_uid && getuid() == entry->pw_uid) {
        return true;
    }
    if (prctl(PR_SET_KEEPCAPS, 1) < 0 || initgroups(user, entry->pw_gid) < 0 ||
        setresgid(entry->pw_gid, entry->pw_gid, entry->pw_gid) < 0 ||
        setresuid(entry->pw_uid, entry->pw_uid, entry->pw_uid) < 0) {
        return tf_error_set_errno(
            errp, errno, "-user %s: start tapferryd as root to become '%s'",
            user, user);
    }
    return privileges_raise() ||
           tf_error_set(errp, "-user %s: can not keep capabilities", user);
}

bool privileges_reduce(GError **errp)
{
    bool held[G_N_ELEMENTS(privileges_kept)];
    bool bounds;

    if (capng_get_caps_process() < 0) {
        return tf_error_set(errp, "can not read the process's capabilities");
    }
    for (size_t i = 0; i < G_N_ELEMENTS(held); i++) {
        held[i] = capng_have_capability(CAPNG_PERMITTED, privileges_kept[i]);
    }
    bounds = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
    capng_clear(CAPNG_SELECT_ALL);
    for (size_t i = 0; i < G_N_ELEMENTS(held); i++) {
        if (held[i]) {
            capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED,
                         privileges_kept[i]);
        }
    }
    if (capng_apply(bounds ? CAPNG_SELECT_ALL
                           : CAPNG_SELECT_CAPS | CAPNG_SELECT_AMBIENT) < 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        return tf_error_set_errno(errp, errno, "can not drop capabilities");
    }
    return true;
}
