# SPDX-License-Identifier: BSD-2-Clause
"""Keeps the outer machine's kernel from patching its own code.

Linux switches rarely used branches by rewriting instructions while other
processors may run them, with a breakpoint in their place meanwhile.  QEMU
before 8.1 can lose such a race when it emulates several processors: one goes
on executing the breakpoint that is no longer there, and the machine stands
still.  So the switches that a migration would flip are held in one position.
"""

import contextlib
import fcntl
import os
import socket
from typing import Iterator

_KVM_CREATE_VM = 0xAE01
_KVM_CREATE_VCPU = 0xAE41
_KVM_CREATE_IRQCHIP = 0xAE60
_SO_TIMESTAMP = 29


@contextlib.contextmanager
def steady_kernel() -> Iterator[None]:
    """Hold the switches as long as the block runs."""
    with contextlib.ExitStack() as stack:
        _hold_kvm(stack)
        _hold_timestamps(stack)
        yield


def _hold_kvm(stack: contextlib.ExitStack) -> None:
    """A processor that never runs: its interrupt controller stays off, so
    KVM always has one to look out for."""
    kvm = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    stack.callback(os.close, kvm)
    machine = fcntl.ioctl(kvm, _KVM_CREATE_VM, 0)
    stack.callback(os.close, machine)
    fcntl.ioctl(machine, _KVM_CREATE_IRQCHIP)
    stack.callback(os.close, fcntl.ioctl(machine, _KVM_CREATE_VCPU, 0))


def _hold_timestamps(stack: contextlib.ExitStack) -> None:
    """A socket that wants to know when packets arrived, as ping's does."""
    listener = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
    listener.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMP, 1)
