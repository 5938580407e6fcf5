# SPDX-License-Identifier: BSD-2-Clause
"""The flows by which QEMU tests its network filters and socket netdevs
(tests/qtest/test-filter-mirror.c, test-filter-redirector.c,
test-filter-buffer.c, test-netfilter.c), under their names.

The backend is a socket netdev on a socket pair, for `-netdev user` is not
ours; data are C strings with their NUL.  A flow that QEMU 7.2 can do runs
there as well, which proves the flow; of the others it has not got the
command, or they show what was mended after it.
"""

from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from lib.daemon import QmpFailure, alone
from lib.program import Program
from lib.qemu import Qemu, needs_qemu, nic
from lib.waiting import wait_until
from lib.wire import Listener, Pair, Peer

NETDEV = "qtest-bn0"


class Backend:
    """A program with the netdev qtest-bn0, whose other end is ours."""

    def __init__(self, directory: Path, start: Callable[[int], Program]
                 ) -> None:
        self.directory = directory
        pair = Pair()
        self.wire = pair.wire
        self.program = start(pair.fd)
        pair.passed()

    def server(self, name: str) -> Path:
        """A chardev that listens; its path."""
        path = self.directory / name
        self.program.add_chardev(name, path, server=True)
        return path

    def client(self, name: str, path: Path) -> None:
        """A chardev that connects."""
        self.program.add_chardev(name, path, server=False)

    def add(self, kind: str, name: str, **properties: Any) -> None:
        """Make a filter on it."""
        self.program.add(f"filter-{kind}", name, netdev=NETDEV, **properties)

    def delete(self, name: str) -> None:
        """Delete a filter."""
        self.program.execute("object-del", id=name)

    def redelete_netdev(self) -> None:
        """Delete the netdev and make one of that name."""
        self.program.execute("netdev_del", id=NETDEV)
        self.program.execute("netdev_add", type="socket", id=NETDEV,
                             listen="127.0.0.1:0")

    def settle(self) -> None:
        """Connections are accepted."""
        self.program.wait_connected()

    def stats(self, name: str) -> Any:
        """The entry of a filter in query-netfilter-stats."""
        entries = self.program.execute("query-netfilter-stats", name=name)
        assert [entry["name"] for entry in entries] == [name]
        return entries[0]

    def counter(self, name: str, counter: str) -> Any:
        """One of a filter's own counters."""
        return {each["name"]: each for each in
                self.stats(name)["counters"]}[counter]


def start_tapferryd(fd: int) -> Program:
    """The daemon under test."""
    return alone("-netdev", f"socket,id={NETDEV},fd={fd}", pass_fds=[fd])


def start_qemu(fd: int) -> Program:
    """A QEMU with a NIC, whose guest is its firmware."""
    return Qemu("-accel", "tcg", "-m", "16",
                *nic(NETDEV, f"socket,fd={fd}"),
                machine="pc", pass_fds=[fd])


BOTH = [pytest.param(start_tapferryd, id="tapferryd"),
        pytest.param(start_qemu, id="qemu", marks=needs_qemu)]


@pytest.fixture(name="bn0", params=[start_tapferryd])
def fixture_bn0(tmp_path: Path, request: pytest.FixtureRequest
                ) -> Iterator[Backend]:
    """The backend and its program, which must end cleanly."""
    backend = Backend(tmp_path, request.param)
    with backend.program:
        yield backend


on_both = pytest.mark.parametrize("bn0", BOTH, indirect=True)


# test-filter-mirror.c

@on_both
def test_mirror(bn0: Backend) -> None:
    """A copy of what goes to the guest is on the chardev."""
    entry = bn0.server("mirror0")
    peer = Peer.connect(entry)
    bn0.add("mirror", "qtest-f0", queue="tx", outdev="mirror0")
    bn0.settle()
    bn0.wire.send(b"Hello! filter-mirror~\0")
    assert peer.receive_one() == b"Hello! filter-mirror~\0"


# test-filter-redirector.c

@on_both
def test_redirector_tx(bn0: Backend) -> None:
    """f0 -> loop through two chardevs -> f1 -> f2."""
    loop = bn0.server("redirector0")
    out = bn0.server("redirector1")
    bn0.client("redirector2", loop)
    bn0.add("redirector", "qtest-f0", queue="tx", outdev="redirector0")
    bn0.add("redirector", "qtest-f1", queue="tx", indev="redirector2")
    bn0.add("redirector", "qtest-f2", queue="tx", outdev="redirector1")
    peer = Peer.connect(out)
    bn0.settle()
    bn0.wire.send(b"Hello!!\0")
    assert peer.receive_one() == b"Hello!!\0"
    assert bn0.wire.is_silent()


@on_both
def test_redirector_rx(bn0: Backend) -> None:
    """The chain is walked backwards: f2 -> f1 -> f0 -> backend."""
    loop = bn0.server("redirector0")
    entry = bn0.server("redirector1")
    bn0.client("redirector2", loop)
    bn0.add("redirector", "qtest-f0", queue="rx", indev="redirector0")
    bn0.add("redirector", "qtest-f1", queue="rx", outdev="redirector2")
    bn0.add("redirector", "qtest-f2", queue="rx", indev="redirector1")
    peer = Peer.connect(entry)
    bn0.settle()
    peer.send(b"Hello!!\0")
    assert bn0.wire.receive_one() == b"Hello!!\0"


def check_status(bn0: Backend, initially: str) -> None:
    """Switched off nothing is read; what waited is delivered when it is
    switched on."""
    entry = bn0.server("redirector0")
    bn0.add("redirector", "qtest-f0", queue="rx", indev="redirector0",
            status=initially)
    peer = Peer.connect(entry)
    bn0.settle()
    bn0.program.set_status("qtest-f0", "off")
    peer.send(b"first\0")
    assert bn0.wire.is_silent(0.5)
    bn0.program.set_status("qtest-f0", "on")
    peer.send(b"second\0")
    assert bn0.wire.receive(2) == [b"first\0", b"second\0"]


def test_redirector_status(bn0: Backend) -> None:
    """Switched off and on.  (QEMU 7.2 reads on.)"""
    check_status(bn0, "on")


def test_redirector_init_status_off(bn0: Backend) -> None:
    """Off from the start.  (QEMU 7.2 reads all the same.)"""
    check_status(bn0, "off")


def test_redirector_rx_event_opened(bn0: Backend) -> None:
    """One peer after the other.  (QEMU 7.2 hears the first alone.)"""
    entry = bn0.server("redirector0")
    bn0.add("redirector", "qtest-f0", queue="rx", indev="redirector0")
    for text in (b"Hello!!\0", b"Hello again\0"):
        peer = Peer.connect(entry)
        bn0.settle()
        peer.send(text)
        assert bn0.wire.receive_one() == text
        peer.close()
        wait_until(lambda: "disconnected" in bn0.program.execute(
            "query-chardev")[0]["filename"], "the peer to be gone")


def test_enable_when_stopped(bn0: Backend) -> None:
    """While the VM is stopped a redirector ships if it was told to; else
    frames stay in the chain."""
    peers = {}
    for name, enabled in (("off", False), ("on", True)):
        entry = bn0.server(f"redirector-{name}")
        bn0.add("redirector", f"qtest-{name}", queue="tx",
                outdev=f"redirector-{name}", enable_when_stopped=enabled)
        peers[name] = Peer.connect(entry)
    bn0.settle()
    bn0.program.execute("stop")
    bn0.wire.send(b"Hello, stopped\0")
    assert peers["on"].receive_one() == b"Hello, stopped\0"
    assert peers["off"].is_silent()
    bn0.program.execute("cont")
    bn0.wire.send(b"Hello, running\0")
    assert peers["off"].receive_one() == b"Hello, running\0"
    assert peers["on"].is_silent()


# test-filter-buffer.c

def test_change_interval_timer(bn0: Backend) -> None:
    """What would wait for a thousand seconds goes on at once when a
    millisecond is set.  (In QEMU 7.2 the old interval runs out first.)"""
    entry = bn0.server("backend0")
    peer = Peer.connect(entry)
    bn0.add("buffer", "qtest-f0", queue="tx", interval=1000000000)
    bn0.add("redirector", "qtest-f1", queue="tx", outdev="backend0")
    bn0.settle()
    bn0.wire.send(b"Hello, buffer\0")
    assert peer.is_silent(1.0)
    bn0.program.execute("qom-set", path="qtest-f0", property="interval",
                        value=1000)
    assert peer.receive_one() == b"Hello, buffer\0"


# test-netfilter.c

def add_buffers(bn0: Backend, number: int) -> None:
    """Filters that just stand there."""
    for i in range(number):
        bn0.add("buffer", f"qtest-f{i}", queue="rx", interval=1000)


def check_addremove(bn0: Backend, number: int) -> None:
    """Filters are added and deleted, and their names are free again."""
    for _round in range(2):
        add_buffers(bn0, number)
        for i in range(number):
            bn0.delete(f"qtest-f{i}")


def check_remove_netdev(bn0: Backend, number: int) -> None:
    """A netdev takes its filters along; all names are free at once."""
    for _round in range(2):
        add_buffers(bn0, number)
        bn0.redelete_netdev()
        for i in range(number):
            with pytest.raises(QmpFailure) as failure:
                bn0.delete(f"qtest-f{i}")
            assert failure.value.kind == "GenericError"
        assert "socket" in bn0.program.info(NETDEV)


@on_both
def test_addremove_one(bn0: Backend) -> None:
    """One filter."""
    check_addremove(bn0, 1)


@on_both
def test_remove_netdev_one(bn0: Backend) -> None:
    """The netdev under one filter."""
    check_remove_netdev(bn0, 1)


@on_both
def test_addremove_multi(bn0: Backend) -> None:
    """Two filters."""
    check_addremove(bn0, 2)


@on_both
def test_remove_netdev_multi(bn0: Backend) -> None:
    """The netdev under two filters."""
    check_remove_netdev(bn0, 2)


@on_both
def test_remove_netdev_frees_chardevs(bn0: Backend) -> None:
    """What its filters held is free again."""
    bn0.server("chardev0")
    bn0.add("redirector", "qtest-f0", queue="rx", outdev="chardev0")
    bn0.program.execute("netdev_del", id=NETDEV)
    bn0.program.execute("chardev-remove", id="chardev0")


def test_query_stats_tx(bn0: Backend) -> None:
    """A mirror counts what passes it toward the guest."""
    entry = bn0.server("chardev0")
    bn0.add("mirror", "f0", queue="tx", outdev="chardev0")
    peer = Peer.connect(entry)
    bn0.settle()
    stats, = bn0.program.execute("query-netfilter-stats")
    assert (stats["name"], stats["netdev"], stats["type"]) == \
        ("f0", NETDEV, "filter-mirror")
    assert stats["packets-tx"] == stats["bytes-tx"] == 0
    bn0.wire.send(b"Hello TX stats!\0")
    assert peer.receive_one() == b"Hello TX stats!\0"
    stats = bn0.stats("f0")
    assert (stats["packets-tx"], stats["bytes-tx"]) == (1, 16)
    assert (stats["packets-rx"], stats["bytes-rx"]) == (0, 0)


def test_query_stats_rx(bn0: Backend) -> None:
    """A buffer at the head sees what a redirector at the tail injected."""
    entry = bn0.server("chardev0")
    bn0.add("buffer", "fb0", queue="rx", interval=1000000, position="head")
    bn0.add("redirector", "rd0", queue="rx", indev="chardev0",
            position="tail")
    stats = bn0.stats("fb0")
    assert stats["type"] == "filter-buffer"
    assert stats["packets-rx"] == stats["bytes-rx"] == 0
    peer = Peer.connect(entry)
    bn0.settle()
    peer.send(b"Hello RX stats!\0")
    wait_until(lambda: bn0.stats("fb0")["packets-rx"] == 1, "the packet")
    assert bn0.stats("fb0")["bytes-rx"] == 16
    assert bn0.counter("rd0", "indev") == {"name": "indev", "packets": 1,
                                           "bytes": 16}
    assert bn0.stats("rd0")["packets-rx"] == 0
    with pytest.raises(QmpFailure) as failure:
        bn0.program.execute("query-netfilter-stats", name="nonexistent")
    assert failure.value.kind == "GenericError"
    assert bn0.wire.receive_one() == b"Hello RX stats!\0"


def test_query_stats_redirector_outdev(bn0: Backend) -> None:
    """What went out of outdev is counted there."""
    listener = Listener(bn0.directory / "out")
    bn0.client("chardev0", bn0.directory / "out")
    bn0.add("redirector", "rd0", queue="tx", outdev="chardev0")
    assert bn0.counter("rd0", "outdev") == {"name": "outdev", "packets": 0,
                                            "bytes": 0}
    peer = listener.accept()
    bn0.wire.send(b"Hello outdev stats!\0")
    assert peer.receive_one() == b"Hello outdev stats!\0"
    wait_until(lambda: bn0.counter("rd0", "outdev") == {
        "name": "outdev", "packets": 1, "bytes": 20}, "the count")
    stats = bn0.stats("rd0")
    assert (stats["packets-tx"], stats["bytes-tx"]) == (1, 20)
    listener.close()
