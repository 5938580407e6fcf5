# SPDX-License-Identifier: BSD-2-Clause
"""What the monitor tests share."""

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Callable, Iterator, List

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

# pylint: disable=wrong-import-position
from lib.peer import (Peer, bare_programs, chardevs,  # noqa: E402
                      in_namespace, needs_root, tapferryd)


@pytest.fixture(name="daemon")
def fixture_daemon() -> Iterator[Peer]:
    """A daemon with nothing in it."""
    with Peer([tapferryd(), "-qmp", "stdio"]) as peer:
        yield peer
        assert peer.process.poll() is None, "the daemon has died"


@pytest.fixture(name="network")
def fixture_network(tmp_path: Path) -> Iterator[Peer]:
    """A daemon with the netdevs n0 and n1 and the chardevs c0 and c1."""
    needs_root()
    with Peer(in_namespace(tapferryd(), "-qmp", "stdio",
                           "-netdev", "tap,id=n0,ifname=v0",
                           "-netdev", "tap,id=n1,ifname=v1",
                           *chardevs(tmp_path))) as peer:
        yield peer
        assert peer.process.poll() is None, "the daemon has died"


@pytest.fixture(scope="session", name="pair")
def fixture_pair(tmp_path_factory: Any) -> Iterator[List[Peer]]:
    """The daemon and the oracle with the netdevs n0 and n1 and the chardevs
    c0 and c1, each in a network and a directory of its own, so that names can
    be equal."""
    needs_root()
    netdevs = {"ours": ["tap,id=n0,ifname=v0", "tap,id=n1,ifname=v1"],
               "theirs": ["user,id=n0", "user,id=n1"]}
    with ExitStack() as stack:
        peers = []
        for name, argv in bare_programs().items():
            peer = stack.enter_context(Peer(
                in_namespace(*argv, "-qmp", "stdio", *chardevs(Path(".")),
                             "-netdev", netdevs[name][0],
                             "-netdev", netdevs[name][1]),
                cwd=tmp_path_factory.mktemp(name)))
            # QEMU has no /objects before there was one.
            peer.command("object-add", **{
                "qom-type": "filter-buffer", "id": "f", "netdev": "n0",
                "interval": 1000})
            peer.command("object-del", id="f")
            peers.append(peer)
        yield peers


@pytest.fixture(name="run")
def fixture_run() -> Callable[..., Any]:
    """Runs a program to its end: status, output and errors."""
    def run(*argv: str, **knobs: Any) -> Any:
        done = subprocess.run(argv, check=False, text=True, timeout=30,
                              stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              **knobs)
        assert "Sanitizer" not in done.stderr, done.stderr
        return done

    return run
