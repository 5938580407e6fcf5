# SPDX-License-Identifier: BSD-2-Clause
"""Two hundred filters on fifty netdevs come and go in a random order, under
traffic, while properties are set, netdevs are removed and made again, and the
machine stops and goes on. What is left at the end is what a model says, and
every frame is accounted for."""

import random
import socket
import threading
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import pytest

from lib.daemon import Daemon, alone
from lib.wire import Peer, encode

NETDEVS = 50
FILTERS = 200
STEPS = 3000
KINDS = ["mirror", "redirector", "buffer", "dump"]


class Traffic:
    """Sends frames to netdevs without a pause, and reads what comes back."""

    def __init__(self) -> None:
        self._wires: Dict[str, socket.socket] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self.sent = 0

    def join(self, name: str, wire: socket.socket) -> None:
        """From now on there, too."""
        wire.setblocking(False)
        with self._lock:
            self._wires[name] = wire

    def leave(self, name: str) -> None:
        """No more."""
        with self._lock:
            self._wires.pop(name).close()

    def _turn(self, wire: socket.socket, data: bytes) -> None:
        try:
            wire.send(data)
            self.sent += 1
            while wire.recv(1 << 20):
                pass
        except OSError:
            pass

    def _run(self) -> None:
        # Cut anywhere: a send may take a part, and the rest never comes;
        # lengths that can't be close the connection, which is fair, too.
        data = encode([bytes([i]) * (60 + i) for i in range(30)])
        while not self._over.wait(0.002):
            with self._lock:
                for wire in self._wires.values():
                    self._turn(wire, data)

    def stop(self) -> None:
        """No more traffic."""
        self._over.set()
        self._thread.join()
        for wire in self._wires.values():
            wire.close()


class Model:
    """What ought to be there, and the daemon that ought to have it."""

    def __init__(self, daemon: Daemon, directory: Path, seed: int,
                 traffic: Traffic) -> None:
        self.daemon, self.directory, self.traffic = daemon, directory, traffic
        self.dice = random.Random(seed)
        self.chains: Dict[str, List[str]] = {}
        self.where: Dict[str, str] = {}
        self.kinds: Dict[str, str] = {}
        self.numbers = iter(range(1 << 30))
        self.chardevs = [f"c{i}" for i in range(100)]
        for i, name in enumerate(self.chardevs):
            backend: Dict[str, Any] = {"type": "null", "data": {}}
            if i % 4 == 0:
                backend = {"type": "ringbuf", "data": {"size": 4096}}
            elif i % 4 == 1:
                backend = {"type": "socket", "data": {
                    "server": True, "wait": False, "addr": {
                        "type": "unix",
                        "data": {"path": str(directory / name)}}}}
            daemon.execute("chardev-add", id=name, backend=backend)
            if i % 8 == 1:
                traffic.join(name, Peer.connect(directory / name).socket)
        self.used: Dict[str, str] = {}  # chardevs by filters
        self.wires: List[Tuple[str, str]] = []

    def add_netdev(self) -> None:
        """A stream netdev, wired to another one or to none, with a peer."""
        name = f"n{next(self.numbers)}"
        more: Dict[str, Any] = {}
        waiting = [each for each in self.chains if each not in self.peers()]
        if waiting and self.dice.random() < 0.3:
            more["peer"] = self.dice.choice(waiting)
        path = self.directory / name
        self.daemon.execute("netdev_add", type="stream", id=name,
                            server=True, addr={"type": "unix",
                                               "path": str(path)}, **more)
        if more:
            self.wires.append((name, more["peer"]))
        self.chains[name] = []
        self.traffic.join(name, Peer.connect(path).socket)

    def peers(self) -> List[str]:
        """Netdevs that have a peer, or had."""
        return [each for pair in self.wires for each in pair]

    def del_netdev(self) -> None:
        """One goes, its filters with it."""
        name = self.dice.choice(list(self.chains))
        self.daemon.execute("netdev_del", id=name)
        self.traffic.leave(name)
        for each in self.chains.pop(name):
            self.forget(each)

    def forget(self, name: str) -> None:
        """A filter is gone."""
        del self.where[name], self.kinds[name]
        self.used.pop(name, None)

    def free_chardev(self) -> Optional[str]:
        """A chardev that nobody has."""
        taken = set(self.used.values())
        free = [each for each in self.chardevs if each not in taken]
        return self.dice.choice(free) if free else None

    def add_filter(self) -> None:
        """A filter of any kind at any place."""
        name, kind = f"f{next(self.numbers)}", self.dice.choice(KINDS)
        netdev = self.dice.choice(list(self.chains))
        chain = self.chains[netdev]
        own: Dict[str, Any] = {
            "buffer": {"interval": self.dice.choice([1, 1000, 1 << 31])},
            "dump": {"file": str(self.directory / "dump"),
                     "format": self.dice.choice(["pcap", "pcapng"]),
                     "rotate-size": self.dice.choice([0, 1 << 20])}}.get(
                         kind, {})
        if kind in ("mirror", "redirector"):
            chardev = self.free_chardev()
            if not chardev:
                return
            end = "outdev" if kind == "mirror" else \
                self.dice.choice(["indev", "outdev"])
            own = {end: chardev, "send-queue-size": 20000,
                   "on-full": self.dice.choice(["drop-oldest", "block"])}
            self.used[name] = chardev
        if self.dice.random() < 0.2:
            own["bpf"] = "len > 70"
        place = {"position": self.dice.choice(["head", "tail"])}
        index = 0 if place["position"] == "head" else len(chain)
        if chain and self.dice.random() < 0.5:
            at = self.dice.randrange(len(chain))
            insert = self.dice.choice(["before", "behind"])
            place = {"position": f"id={chain[at]}", "insert": insert}
            index = at + (insert == "behind")
        self.daemon.execute("object-add", qom_type=f"filter-{kind}", id=name,
                            netdev=netdev, queue=self.dice.choice(
                                ["tx", "rx", "all"]),
                            status=self.dice.choice(["on", "off"]),
                            **place, **own)
        chain.insert(index, name)
        self.where[name], self.kinds[name] = netdev, kind

    def del_filter(self) -> None:
        """One goes."""
        name = self.dice.choice(list(self.where))
        self.daemon.execute("object-del", id=name)
        self.chains[self.where[name]].remove(name)
        self.forget(name)

    def set_something(self) -> None:
        """A property of one of them."""
        name = self.dice.choice(list(self.where))
        values = {"status": ["on", "off"], "queue": ["tx", "rx", "all"],
                  "bpf": ["", "ether[0] = 3", "len < 80"]}
        if self.kinds[name] == "buffer":
            values["interval"] = [1, 500, 1 << 31]
        if self.kinds[name] == "dump":
            values["maxlen"] = [1, 64, 65536]
        prop = self.dice.choice(list(values))
        self.daemon.execute("qom-set", path=f"/objects/{name}",
                            property=prop,
                            value=self.dice.choice(values[prop]))

    def step(self) -> None:
        """One thing or another; the nearer to the full number, the more
        goes."""
        choice = self.dice.random()
        if choice < 0.04 or not self.chains:
            if len(self.chains) < NETDEVS:
                self.add_netdev()
            else:
                self.del_netdev()
        elif choice < 0.25 and self.where:
            self.set_something()
        elif choice < 0.28:
            self.daemon.execute(self.dice.choice(["stop", "cont"]))
        elif choice < 0.28 + 0.7 * (1 - len(self.where) / (2 * FILTERS)):
            self.add_filter()
        elif self.where:
            self.del_filter()

    def check(self) -> None:
        """The daemon has what it ought to have, in its order."""
        entries = self.daemon.execute("query-netfilter-stats")
        expected = [(netdev, name) for netdev, chain in self.chains.items()
                    for name in chain]
        assert [(each["netdev"], each["name"]) for each in entries] == \
            expected
        for each in entries:
            counters = {one["name"]: one["packets"]
                        for one in each.get("counters", ())}
            if each["type"] == "filter-mirror":
                assert sum(counters.values()) <= \
                    each["packets-tx"] + each["packets-rx"]
            if each["type"] == "filter-redirector":
                dropped = sum(count for name, count in counters.items()
                              if name.startswith("dropped-"))
                taken = each["packets-tx"] + each["packets-rx"]
                sent = counters["outdev"] + counters["queued"]
                # An indev's broken framing counts as a frame that came.
                assert sent + dropped <= taken + counters["indev"]


@pytest.mark.parametrize("seed", range(2))
def test_churn(tmp_path: Path, seed: int) -> None:
    """No crash, no leak, and the books are right."""
    traffic = Traffic()
    try:
        with alone() as daemon:
            model = Model(daemon, tmp_path, seed, traffic)
            for _ in range(NETDEVS):
                model.add_netdev()
            while len(model.where) < FILTERS * 3 // 4:
                model.add_filter()
            for step in range(STEPS):
                model.step()
                if step % 50 == 0:
                    model.check()
            model.check()
            assert traffic.sent > 0
            for name in list(model.where):
                daemon.execute("object-del", id=name)
            for name in list(model.chains):
                daemon.execute("netdev_del", id=name)
            for name in model.chardevs:
                daemon.execute("chardev-remove", id=name)
            assert daemon.execute("query-netfilter-stats") == []
            assert daemon.execute("query-chardev") == []
    finally:
        traffic.stop()
