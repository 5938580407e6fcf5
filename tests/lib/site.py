# SPDX-License-Identifier: BSD-2-Clause
"""The world of one test: hosts and what runs on them, all of it gone when
the test is over, whatever came of it."""

import contextlib
import itertools
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Callable, List

from lab.netns import sweep

from .daemon import Daemon
from .hosts import Host
from .vmm import Vmm
from .wire import Listener, Peer

_numbers = itertools.count(1)


class Site:
    """Makes what a test needs; a context manager."""

    def __init__(self) -> None:
        # The laboratory sweeps up what carries such a name, should this
        # process be killed.
        self._name = f"tapferry-lab-{os.getpid()}-it{next(_numbers)}"
        self.directory = Path(tempfile.gettempdir()) / self._name
        self._stack = contextlib.ExitStack()
        self._hosts = itertools.count()
        self.daemons: List[Daemon] = []

    def __enter__(self) -> "Site":
        self.directory.mkdir(mode=0o700)
        self._stack.callback(shutil.rmtree, self.directory,
                             ignore_errors=True)
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def on_exit(self, function: Callable[[], Any]) -> None:
        """Call this at the end, before what was made earlier goes."""
        self._stack.callback(function)

    def host(self) -> Host:
        """A new host."""
        host = Host(f"{self._name}-{next(self._hosts)}")
        self._stack.callback(host.close)
        return host

    def vmm(self, host: Host, *ifnames: str, **options: Any) -> Vmm:
        """A VMM with these TAPs, which exist."""
        vmm = Vmm(host, *ifnames, **options)
        self._stack.callback(vmm.close)
        return vmm

    def guest(self, host: Host, ifname: str = "tap0",
              txqueuelen: int = 1000, persistent: bool = True,
              **options: Any) -> Vmm:
        """A VMM with one new TAP, which may end with the VMM."""
        if persistent:
            host.add_tap(ifname, txqueuelen)
        return self.vmm(host, ifname, **options)

    def daemon(self, host: Host, name: str, *arguments: str,
               **options: Any) -> Daemon:
        """A daemon; it is ended, and checked, before what it uses."""
        daemon = Daemon(host, self.directory, name, arguments, **options)
        self._stack.callback(daemon.stop)
        self.daemons.append(daemon)
        return daemon

    def peer(self, name: str) -> Peer:
        """A connection to the chardev that listens at this name."""
        peer = Peer.connect(self.directory / name)
        self._stack.callback(peer.close)
        return peer

    def listener(self, name: str) -> Listener:
        """Somebody for a chardev to connect to."""
        listener = Listener(self.directory / name)
        self._stack.callback(listener.close)
        return listener

    def path(self, name: str) -> str:
        """Where a socket of this name lies."""
        return str(self.directory / name)


def sweep_left_overs() -> None:
    """Remove what runs left behind that were killed."""
    sweep()
