# SPDX-License-Identifier: BSD-2-Clause
"""The fourteen flows by which QEMU tests its network filters, with a socket
netdev on a socket pair as the backend; data are C strings with their NUL.

Each runs against the real QEMU, too, as far as it has the command: what the
flow expects is what QEMU does.
"""

import time
from pathlib import Path
from typing import Any, Iterator

import pytest

from netdevs import Daemon, Failure, Pair, Program, connect, qemu, wait_until

# What QEMU 7.2 has not: statistics, enable_when_stopped, a status that stops
# reading, an indev that outlives its first peer, an interval that takes effect
# at once.
NEWER = pytest.mark.parametrize("bn0", ["tapferryd"], indirect=True)


class Backend:
    """A program with the netdev qtest-bn0, whose other end is ours."""

    def __init__(self, kind: str, directory: Path) -> None:
        self.directory = directory
        pair = Pair()
        self.wire = pair.wire
        netdev = f"socket,id=qtest-bn0,fd={pair.fd}"
        if kind == "tapferryd":
            self.program: Program = Daemon("-netdev", netdev,
                                           pass_fds=[pair.fd])
        else:  # filters see nothing there without a NIC as the peer
            self.program = Program(
                [str(qemu()), "-machine", "pc", "-accel", "tcg", "-m", "16",
                 "-display", "none", "-nodefaults", "-nic", netdev,
                 "-global", "e1000.romfile=", "-qmp", "stdio"], [pair.fd])
        pair.passed()

    def server(self, name: str) -> Path:
        """A chardev that listens; its path."""
        path = self.directory / name
        self._chardev(name, path, server=True, wait=False)
        return path

    def client(self, name: str, path: Path, **more: Any) -> None:
        """A chardev that connects."""
        self._chardev(name, path, server=False, **more)

    def passed(self, name: str) -> Any:
        """A chardev with its peer; the peer."""
        wire = connect(self.server(name))
        self.settle()
        return wire

    def _chardev(self, name: str, path: Path, **data: Any) -> None:
        self.program.execute("chardev-add", id=name, backend={
            "type": "socket", "data": {
                "addr": {"type": "unix", "data": {"path": str(path)}},
                **data}})

    def add(self, name: str, kind: str = "redirector",
            **properties: Any) -> None:
        """Make a filter on it."""
        self.program.execute("object-add", qom_type=f"filter-{kind}",
                             id=name, netdev="qtest-bn0", **properties)

    def set(self, path: str, name: str, value: Any) -> None:
        """Set a property of a filter."""
        self.program.execute("qom-set", path=path, property=name, value=value)

    def set_status(self, name: str, status: str) -> None:
        """Switch a filter."""
        self.set(f"/objects/{name}", "status", status)

    def settle(self) -> None:
        """Connections are accepted."""
        for _ in range(2):
            self.program.execute("query-status")
            time.sleep(0.05)


@pytest.fixture(name="bn0", params=["tapferryd", "qemu"])
def fixture_bn0(request: Any, tmp_path: Path) -> Iterator[Backend]:
    """The backend and its program, which must end cleanly."""
    if request.param == "qemu" and not qemu():
        pytest.skip("there is no QEMU to compare with")
    backend = Backend(request.param, tmp_path)
    with backend.program:
        yield backend


def test_mirror(bn0: Backend) -> None:
    """The chardev gets a copy."""
    copies = bn0.passed("mirror0")
    bn0.add("qtest-f0", "mirror", queue="tx", outdev="mirror0")
    bn0.wire.send(b"Hello! filter-mirror~\0")
    assert copies.receive() == b"Hello! filter-mirror~\0"


def test_redirector_tx(bn0: Backend) -> None:
    """f0 -> loop through two chardevs -> f1 -> f2."""
    loop = bn0.server("redirector0")
    out = bn0.server("redirector1")
    bn0.client("redirector2", loop)
    bn0.add("qtest-f0", queue="tx", outdev="redirector0")
    bn0.add("qtest-f1", queue="tx", indev="redirector2")
    bn0.add("qtest-f2", queue="tx", outdev="redirector1")
    peer = connect(out)
    bn0.settle()
    bn0.wire.send(b"Hello!!\0")
    assert peer.receive() == b"Hello!!\0"
    assert bn0.wire.is_silent(0.1)


def test_redirector_rx(bn0: Backend) -> None:
    """The chain is walked backwards: f2 -> f1 -> f0 -> backend."""
    loop = bn0.server("redirector0")
    entry = bn0.server("redirector1")
    bn0.client("redirector2", loop)
    bn0.add("qtest-f0", queue="rx", indev="redirector0")
    bn0.add("qtest-f1", queue="rx", outdev="redirector2")
    bn0.add("qtest-f2", queue="rx", indev="redirector1")
    peer = connect(entry)
    bn0.settle()
    peer.send(b"Hello!!\0")
    assert bn0.wire.receive() == b"Hello!!\0"


@NEWER
@pytest.mark.parametrize("initially", ["on", "off"])
def test_redirector_status(bn0: Backend, initially: str) -> None:
    """Switched off, be it from the start, nothing is read; what waited is
    delivered when it is switched on."""
    entry = bn0.server("redirector0")
    bn0.add("qtest-f0", queue="rx", indev="redirector0", status=initially)
    peer = connect(entry)
    bn0.settle()
    bn0.set_status("qtest-f0", "off")
    peer.send(b"first\0")
    assert bn0.wire.is_silent()
    bn0.set_status("qtest-f0", "on")
    peer.send(b"second\0")
    assert bn0.wire.receive() == b"first\0"
    assert bn0.wire.receive() == b"second\0"


@NEWER
def test_redirector_rx_event_opened(bn0: Backend) -> None:
    """One peer after the other."""
    entry = bn0.server("redirector0")
    bn0.add("qtest-f0", queue="rx", indev="redirector0")
    for text in (b"Hello!!\0", b"Hello again\0"):
        peer = connect(entry)
        bn0.settle()
        peer.send(text)
        assert bn0.wire.receive() == text
        peer.close()
        bn0.settle()


@NEWER
def test_change_interval_timer(bn0: Backend) -> None:
    """A shorter interval takes effect at once, not at the end of the long
    one."""
    out = bn0.server("redirector0")
    bn0.add("f0", "buffer", queue="tx", interval=1000000000)
    bn0.add("f1", queue="tx", outdev="redirector0")
    peer = connect(out)
    bn0.settle()
    bn0.wire.send(b"Hello!!\0")
    assert peer.is_silent(0.3)
    bn0.set("f0", "interval", 1000)
    assert peer.receive() == b"Hello!!\0"


def add_buffers(bn0: Backend, number: int) -> None:
    """Filters that just stand there."""
    for i in range(number):
        bn0.add(f"qtest-f{i}", "buffer", queue="rx", interval=1000)


@pytest.mark.parametrize("number", [1, 2])
def test_addremove(bn0: Backend, number: int) -> None:
    """One filter, or several, are added and deleted, and again."""
    for _round in range(2):
        add_buffers(bn0, number)
        for i in range(number):
            bn0.program.execute("object-del", id=f"qtest-f{i}")


@pytest.mark.parametrize("number", [1, 2])
def test_remove_netdev(bn0: Backend, number: int) -> None:
    """A netdev takes its filters along; all names are free at once."""
    for _round in range(2):
        add_buffers(bn0, number)
        bn0.program.execute("netdev_del", id="qtest-bn0")
        for i in range(number):
            with pytest.raises(Failure) as failure:
                bn0.program.execute("object-del", id=f"qtest-f{i}")
            assert failure.value.kind == "GenericError"
        bn0.program.execute("netdev_add", type="socket", id="qtest-bn0",
                            listen="127.0.0.1:0")


def test_remove_netdev_frees_chardevs(bn0: Backend) -> None:
    """So does what its filters held."""
    bn0.server("chardev0")
    bn0.add("qtest-f0", queue="rx", outdev="chardev0")
    bn0.program.execute("netdev_del", id="qtest-bn0")
    bn0.program.execute("chardev-remove", id="chardev0")


@NEWER
def test_query_stats_tx(bn0: Backend) -> None:
    """A filter counts what passes it toward the guest."""
    bn0.passed("mirror0")
    bn0.add("f0", "mirror", queue="tx", outdev="mirror0")
    entry, = bn0.program.execute("query-netfilter-stats")
    assert (entry["name"], entry["netdev"], entry["type"]) == \
        ("f0", "qtest-bn0", "filter-mirror")
    assert entry["packets-tx"] == entry["bytes-tx"] == 0
    bn0.wire.send(b"Hello TX stats!\0")
    wait_until(lambda: bn0.program.counter("f0", "packets-tx") == 1,
               lambda: "no packet")
    assert bn0.program.counter("f0", "bytes-tx") == 16


@NEWER
def test_query_stats_rx(bn0: Backend) -> None:
    """A buffer at the head sees what a redirector injected as rx."""
    entry = bn0.passed("redirector0")
    bn0.add("fb0", "buffer", queue="rx", interval=1000000, position="head")
    bn0.add("rd0", queue="rx", indev="redirector0", position="tail")
    first, = bn0.program.execute("query-netfilter-stats", **{"name": "fb0"})
    assert first["packets-rx"] == first["bytes-rx"] == 0
    assert first["type"] == "filter-buffer"
    entry.send(b"Hello RX stats!\0")
    wait_until(lambda: bn0.program.counter("fb0", "packets-rx") == 1,
               lambda: "no packet")
    assert bn0.program.counter("fb0", "bytes-rx") == 16
    assert bn0.program.counter("rd0", "indev") == 1
    assert bn0.program.counter("rd0", "packets-rx") == 0
    with pytest.raises(Failure):
        bn0.program.execute("query-netfilter-stats", **{"name": "nonexistent"})


@NEWER
def test_query_stats_redirector_outdev(bn0: Backend) -> None:
    """What went out of outdev is counted there."""
    peer = bn0.passed("redirector0")
    bn0.add("rd0", queue="tx", outdev="redirector0")
    assert bn0.program.counter("rd0", "outdev") == 0
    bn0.wire.send(b"Hello outdev stats!\0")
    wait_until(lambda: bn0.program.counter("rd0", "outdev") == 1,
               lambda: "no packet")
    assert peer.receive() == b"Hello outdev stats!\0"
    assert bn0.program.counter("rd0", "packets-tx") == 1
    assert bn0.program.counter("rd0", "bytes-tx") == 20


@pytest.mark.parametrize("enabled", [True, False])
@NEWER
def test_enable_when_stopped(bn0: Backend, enabled: bool) -> None:
    """A stopped VM's frames are redirected only where that is wanted."""
    peer = bn0.passed("redirector0")
    bn0.add("rd0", queue="tx", outdev="redirector0",
            enable_when_stopped=enabled)
    bn0.program.execute("stop")
    bn0.wire.send(b"Hello!!\0")
    if enabled:
        assert peer.receive() == b"Hello!!\0"
    else:
        assert peer.is_silent(0.3)
