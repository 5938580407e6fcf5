# SPDX-License-Identifier: BSD-2-Clause
"""Where the path is measured: one network namespace with two cables.

::

    flood ──► a0 ──── a1          b0 ──── b1
              │ captured           ▲ injected  counted
              └──► relay ── stream ┘

A frame that is sent into a0 arrives at a1, where nobody wants it.  A peer
carries it to b0, out of which it comes at b1, where the kernel counts it.
"""

import os
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Tuple

from lib.hosts import Host, connect
from lib.site import Site

from .programs import Started, own

CABLES = (("a0", "a1"), ("b0", "b1"))


class Stage:
    """The namespace, its cables, and the flood; a context manager."""

    def __init__(self) -> None:
        self._site = Site()
        self._counters = -1
        self.host: Host
        self.directory: Path
        self._runs = 0
        # What peers make once and use again, by name.
        self.kept: Dict[str, Any] = {}

    def __enter__(self) -> "Stage":
        self._site.__enter__()
        self.directory = self._site.directory
        self.host = self._site.host()
        for name, other in CABLES:
            connect(self.host, name, self.host, other)
        with self.host.entered():
            self._counters = os.open("/proc/thread-self/net/dev",
                                     os.O_RDONLY | os.O_CLOEXEC)
        self._site.on_exit(lambda: os.close(self._counters))
        return self

    def __exit__(self, *error: object) -> None:
        self._site.__exit__(*error)

    @property
    def site(self) -> Site:
        """What removes everything at the end."""
        return self._site

    def run_directory(self) -> Path:
        """A fresh directory for one run of a peer."""
        return Path(tempfile.mkdtemp(dir=self.directory))

    def received(self, ifname: str) -> int:
        """Frames that have come in at an interface."""
        return self._interfaces()[ifname][1]

    def _interfaces(self) -> Dict[str, List[int]]:
        text = os.pread(self._counters, 1 << 16, 0).decode("ascii")
        found = {}
        for line in text.splitlines()[2:]:
            name, _, rest = line.partition(":")
            found[name.strip()] = [int(word) for word in rest.split()]
        return found

    def flood(self, ifname: str, size: int, seconds: float,
              *more: str) -> Started:
        """Frames into an interface, as fast as it takes them."""
        self._runs += 1
        return Started(self.host, self.directory, f"flood{self._runs}",
                       [own("flood"), ifname, str(size), f"{seconds:.3f}",
                        *more])


def address(kind: str, directory: Path) -> Tuple[str, str]:
    """A stream's address, for the benchmark's programs, and as properties
    of a chardev."""
    if kind == "unix":
        path = directory / "link"
        return f"unix:{path}", f"path={path}"
    return "tcp:127.0.0.1:4790", "host=127.0.0.1,port=4790"
