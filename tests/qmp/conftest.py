# SPDX-License-Identifier: BSD-2-Clause
"""What the monitor tests share."""

import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

# pylint: disable=wrong-import-position
from lib.peer import (Peer, chardevs, in_namespace,  # noqa: E402
                      needs_root, qemu, tapferryd)


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
def fixture_pair(tmp_path_factory: Any) -> Iterator[Any]:
    """The daemon and the oracle, with the same things in them."""
    needs_root()
    oracle = qemu()
    if not oracle:
        pytest.skip("no QEMU to compare with")
    ours = tmp_path_factory.mktemp("ours")
    theirs = tmp_path_factory.mktemp("theirs")
    with Peer(in_namespace(tapferryd(), "-qmp", "stdio",
                           "-netdev", "tap,id=n0,ifname=v0",
                           "-netdev", "tap,id=n1,ifname=v1",
                           *chardevs(ours))) as daemon, \
            Peer([oracle, "-machine", "none", "-nodefaults", "-display",
                  "none", "-qmp", "stdio", "-netdev", "user,id=n0",
                  "-netdev", "user,id=n1", *chardevs(theirs)]) as peer:
        yield daemon, peer


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
