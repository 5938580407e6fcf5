# SPDX-License-Identifier: BSD-2-Clause
"""The flows by which QEMU tests its network filters, with a socket netdev on
a socket pair as the backend; data are C strings with their NUL."""

from pathlib import Path
from typing import Any, Iterator

import pytest

from netdevs import Daemon, Failure, Pair, connect, listener, wait_until


class Backend:
    """A daemon with the netdev qtest-bn0, whose other end is ours."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        pair = Pair()
        self.wire = pair.wire
        self.daemon = Daemon("-netdev", f"socket,id=qtest-bn0,fd={pair.fd}",
                             pass_fds=[pair.fd])
        pair.passed()

    def server(self, name: str) -> Path:
        """A chardev that listens; its path."""
        path = self.directory / name
        self._chardev(name, path, server=True, wait=False)
        return path

    def client(self, name: str, path: Path, **more: Any) -> None:
        """A chardev that connects."""
        self._chardev(name, path, server=False, **more)

    def _chardev(self, name: str, path: Path, **data: Any) -> None:
        self.daemon.execute("chardev-add", id=name, backend={
            "type": "socket", "data": {
                "addr": {"type": "unix", "data": {"path": str(path)}},
                **data}})

    def add(self, name: str, **properties: Any) -> None:
        """Make a redirector on it."""
        self.daemon.execute("object-add", qom_type="filter-redirector",
                            id=name, netdev="qtest-bn0", **properties)

    def set_status(self, name: str, status: str) -> None:
        """Switch a filter."""
        self.daemon.execute("qom-set", path=f"/objects/{name}",
                            property="status", value=status)

    def settle(self) -> None:
        """Connections are accepted."""
        self.daemon.execute("query-status")


@pytest.fixture(name="bn0")
def fixture_bn0(tmp_path: Path) -> Iterator[Backend]:
    """The backend and its daemon, which must end cleanly."""
    backend = Backend(tmp_path)
    with backend.daemon:
        yield backend


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


def add_filters(bn0: Backend, number: int) -> None:
    """Filters that just stand there."""
    for i in range(number):
        bn0.server(f"chardev{i}")
        bn0.add(f"qtest-f{i}", queue="rx", outdev=f"chardev{i}")


def remove_chardevs(bn0: Backend, number: int) -> None:
    """They are free again when their filters are gone."""
    for i in range(number):
        bn0.daemon.execute("chardev-remove", id=f"chardev{i}")


@pytest.mark.parametrize("number", [1, 2])
def test_addremove(bn0: Backend, number: int) -> None:
    """Filters are added and deleted."""
    for _round in range(2):
        add_filters(bn0, number)
        for i in range(number):
            bn0.daemon.execute("object-del", id=f"qtest-f{i}")
        remove_chardevs(bn0, number)


@pytest.mark.parametrize("number", [1, 2])
def test_remove_netdev(bn0: Backend, number: int) -> None:
    """A netdev takes its filters along; all names are free at once."""
    for round_ in range(2):
        add_filters(bn0, number)
        bn0.daemon.execute("netdev_del", id="qtest-bn0")
        for i in range(number):
            with pytest.raises(Failure) as failure:
                bn0.daemon.execute("object-del", id=f"qtest-f{i}")
            assert failure.value.kind == "GenericError"
        remove_chardevs(bn0, number)
        bn0.daemon.execute("netdev_add", type="socket", id="qtest-bn0",
                           listen="127.0.0.1:0")
        assert bn0.daemon.info("qtest-bn0") == \
            "qtest-bn0: index=0,type=socket,", round_


def test_query_stats_tx(bn0: Backend) -> None:
    """A filter counts what passes it toward the guest."""
    bn0.server("chardev0")
    bn0.add("f0", queue="tx", outdev="chardev0")
    entry, = bn0.daemon.execute("query-netfilter-stats")
    assert (entry["name"], entry["netdev"], entry["type"]) == \
        ("f0", "qtest-bn0", "filter-redirector")
    assert entry["packets-tx"] == entry["bytes-tx"] == 0
    bn0.wire.send(b"Hello TX stats!\0")
    wait_until(lambda: bn0.daemon.counter("f0", "packets-tx") == 1,
               lambda: "no packet")
    assert bn0.daemon.counter("f0", "bytes-tx") == 16


def test_query_stats_rx(bn0: Backend) -> None:
    """A filter at the head sees what one at the tail injected as rx."""
    entry = bn0.server("chardev0")
    bn0.server("chardev1")
    bn0.add("rd0", queue="rx", indev="chardev0", position="tail")
    bn0.add("fb0", queue="rx", outdev="chardev1", position="head")
    peer = connect(entry)
    bn0.settle()
    peer.send(b"Hello RX stats!\0")
    wait_until(lambda: bn0.daemon.counter("fb0", "packets-rx") == 1,
               lambda: "no packet")
    assert bn0.daemon.counter("fb0", "bytes-rx") == 16
    assert bn0.daemon.counter("rd0", "indev") == 1
    assert bn0.daemon.counter("rd0", "packets-rx") == 0
    one = bn0.daemon.execute("query-netfilter-stats", **{"name": "fb0"})
    assert [each["name"] for each in one] == ["fb0"]
    with pytest.raises(Failure):
        bn0.daemon.execute("query-netfilter-stats", **{"name": "nonexistent"})


def test_query_stats_redirector_outdev(bn0: Backend) -> None:
    """What went out of outdev is counted there."""
    path = bn0.directory / "out"
    server = listener(path)
    bn0.client("chardev0", path)
    bn0.add("rd0", queue="tx", outdev="chardev0")
    assert bn0.daemon.counter("rd0", "outdev") == 0
    bn0.wire.send(b"Hello outdev stats!\0")
    wait_until(lambda: bn0.daemon.counter("rd0", "outdev") == 1,
               lambda: "no packet")
    assert bn0.daemon.counter("rd0", "packets-tx") == 1
    assert bn0.daemon.counter("rd0", "bytes-tx") == 20
    server.close()
