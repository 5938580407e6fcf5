# SPDX-License-Identifier: BSD-2-Clause
"""Netdevs over sockets: their addresses, and wires to them."""

from pathlib import Path
from typing import Any, Dict

from .daemon import Daemon
from .wire import Peer


def unix(path: Path, **more: Any) -> Dict[str, Any]:
    """The address of a unix socket."""
    return {"type": "unix", "path": str(path), **more}


def inet(port: int, host: str = "127.0.0.1") -> Dict[str, Any]:
    """A TCP or UDP address."""
    return {"type": "inet", "host": host, "port": str(port)}


def add_wired(daemon: Daemon, directory: Path, name: str, **arguments: Any
              ) -> Peer:
    """A netdev whose peer is the test: what comes from its network comes
    out of the wire, and the other way round."""
    path = directory / f"w{name}"
    daemon.execute("netdev_add", id=name, peer=f"w{name}", **arguments)
    daemon.execute("netdev_add", type="stream", id=f"w{name}", server=True,
                   addr=unix(path))
    wire = Peer.connect(path)
    daemon.take_event("NETDEV_STREAM_CONNECTED", **{"netdev-id": f"w{name}"})
    return wire
