/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/run-state.h"

#include "base/event.h"
#include "base/loop.h"
#include "vm/vm.h"

static bool run_state_launched = true;
static const char *run_state_reason;

void run_state_init(bool stopped)
{
    run_state_launched = !stopped;
    vm_set_running(vm_daemon(), !stopped, g_get_real_time());
}

void run_state_set(bool running)
{
    if (vm_daemon()->running == running) {
        return;
    }
    run_state_launched = true;
    vm_set_running(vm_daemon(), running, g_get_real_time());
    event_emit(running ? "RESUME" : "STOP", NULL);
}

const char *run_state_name(void)
{
    if (vm_daemon()->running) {
        return "running";
    }
    return run_state_launched ? "paused" : "prelaunch";
}

void run_state_shutdown(const char *reason)
{
    if (!run_state_reason) {
        run_state_reason = reason;
    }
    loop_quit();
}

const char *run_state_shutdown_reason(void)
{
    return run_state_reason;
}
