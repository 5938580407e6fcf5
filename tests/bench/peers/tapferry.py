# SPDX-License-Identifier: BSD-2-Clause
"""Two daemons, one that captures and one that injects."""

import contextlib
import os
from typing import Dict, List

from bench.stage import Stage, address
from lib.certificates import make_psk
from lib.daemon import Daemon
from lib.waiting import wait_until

from .peer import Load, Peer

Counters = Dict[str, int]


def dropped(counters: Counters) -> int:
    """All that a filter dropped, whatever the cause."""
    return sum(value for name, value in counters.items()
               if name.startswith("dropped-"))


class Tapferry(Peer):
    """A redirector that captures, and one that injects."""

    _sink_properties = ""

    def __init__(self, stage: Stage, load: Load) -> None:
        super().__init__(stage, load)
        self._source: Daemon
        self._sink: Daemon

    def filters(self) -> List[str]:
        """The capturing side's options; the last filter ships."""
        return ["-object", "filter-redirector,id=f0,netdev=n0,in_netdev=n0,"
                f"outdev=l0,on-full=block{self.vnet}"]

    def seen(self, source: Daemon) -> List[int]:
        """How many frames the capturing side saw and how many it lost."""
        counters = source.counters("f0")
        return [counters["in_netdev"], dropped(counters)]

    @property
    def vnet(self) -> str:
        """A property of those filters that speak to the stream."""
        return ",vnet_hdr_support=on" if self.load.offloaded else ""

    def _tls(self, endpoint: str) -> List[str]:
        keys = self.directory / "psk"
        if not keys.exists():
            make_psk(keys, "qemu")
        return ["-object", f"tls-creds-psk,id=t0,endpoint={endpoint},"
                f"dir={keys}"] if self.load.tls else []

    def daemon(self, name: str, *arguments: str) -> Daemon:
        """Start a daemon."""
        daemon = Daemon(self.stage.host, self.directory, name, arguments)
        self.stack.callback(daemon.stop)
        self.processes[name] = daemon.pid
        return daemon

    def start(self) -> None:
        _, link = address(self.load.link, self.directory)
        if self.load.tls:
            link += ",tls-creds=t0"
        self._sink = self.daemon(
            "sink", *self._tls("server"), "-netdev", "tap,id=n0,ifname=b0",
            "-chardev", f"socket,id=l0,{link},server=on,wait=off", "-object",
            "filter-redirector,id=f0,netdev=n0,indev=l0,out_netdev=n0"
            f"{self.vnet}{self._sink_properties}")
        self._source = self.daemon(
            "source", *self._tls("client"), "-netdev", "tap,id=n0,ifname=a0",
            "-chardev", f"socket,id=l0,{link}", *self.filters())
        self._source.wait_connected("l0")

    def _account(self) -> Counters:
        seen, lost = self.seen(self._source)
        sink = self._sink.counters("f0")
        return {"seen": seen, "lost": lost + dropped(sink),
                "delivered": sink["out_netdev"]}

    def settle(self, sent: int) -> None:
        def settled() -> bool:
            account = self._account()
            return account["seen"] == sent == \
                account["lost"] + account["delivered"]

        # Else the account will tell.
        with contextlib.suppress(AssertionError):
            wait_until(settled, "all frames to have their place")

    def finish(self) -> Counters:
        account = self._account()
        self.stack.close()
        return account


class WithoutDedup(Tapferry):
    """The injecting side need not know what the network delivers."""

    _sink_properties = ",dedup=off"


class RealTime(Tapferry):
    """Its daemons get a processor whenever they need one: as if one were
    free."""

    def daemon(self, name: str, *arguments: str) -> Daemon:
        daemon = super().daemon(name, *arguments)
        os.sched_setscheduler(daemon.pid, os.SCHED_FIFO, os.sched_param(1))
        return daemon


class Chain(Tapferry):
    """Filters in a chain that observes a0; the last is a mirror."""

    before: Dict[str, str] = {}  # id -> type and properties

    def filters(self) -> List[str]:
        chain = {**self.before, "f0": f"filter-mirror,outdev=l0{self.vnet}"}
        return [word for name, properties in chain.items() for word in (
            "-object", f"{properties},id={name},netdev=n0,queue=tx")]

    def seen(self, source: Daemon) -> List[int]:
        first = next(iter([*self.before, "f0"]))
        missed = source.execute("qom-get", path="/netdevs/n0",
                                property="dropped-nic-packets")
        return [source.counter(first, "packets-tx") + missed,
                missed + sum(self._dropped(source, name)
                             for name in (*self.before, "f0"))]

    def _dropped(self, source: Daemon, name: str) -> int:
        return dropped(source.counters(name))


class Mirror(Chain):
    """A mirror alone."""


class EightMirrors(Chain):
    """Seven copies more, for nobody."""

    before = {f"m{i}": f"filter-mirror,outdev=null{i}" for i in range(7)}

    def filters(self) -> List[str]:
        return [word for i in range(7) for word in (
            "-chardev", f"null,id=null{i}")] + super().filters()

    def _dropped(self, source: Daemon, name: str) -> int:
        return super()._dropped(source, name) if name == "f0" else 0


class Buffer(Chain):
    """A buffer of a millisecond in front of the mirror."""

    before = {"b0": "filter-buffer,interval=1000"}
