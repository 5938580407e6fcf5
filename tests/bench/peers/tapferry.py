# SPDX-License-Identifier: BSD-2-Clause
"""Two daemons, one that captures and one that injects."""

from typing import Dict, List

from bench.stage import Stage, address
from lib.daemon import Daemon

from .peer import Load, Peer


class Tapferry(Peer):
    """A redirector that captures, and one that injects."""

    def __init__(self, stage: Stage, load: Load, *sink: str) -> None:
        super().__init__(stage, load)
        self._sink_properties = sink
        self._source: Daemon
        self._sink: Daemon

    def _filters(self) -> List[str]:
        return ["-object", "filter-redirector,id=f0,netdev=n0,in_netdev=n0,"
                f"outdev=l0,on-full=block{self._vnet()}"]

    def _vnet(self) -> str:
        return ",vnet_hdr_support=on" if self.load.offloaded else ""

    def _daemon(self, name: str, *arguments: str) -> Daemon:
        daemon = Daemon(self.stage.host, self.directory, name, arguments)
        self.stack.callback(daemon.stop)
        self.processes[name] = daemon.pid
        return daemon

    def start(self) -> None:
        _, link = address(self.load.link, self.directory)
        self._sink = self._daemon(
            "sink", "-netdev", "tap,id=n0,ifname=b0", "-chardev",
            f"socket,id=l0,{link},server=on,wait=off", "-object", ",".join((
                "filter-redirector,id=f0,netdev=n0,indev=l0,out_netdev=n0"
                f"{self._vnet()}", *self._sink_properties)))
        self._source = self._daemon(
            "source", "-netdev", "tap,id=n0,ifname=a0", "-chardev",
            f"socket,id=l0,{link}", *self._filters())
        self._source.wait_connected("l0")

    def finish(self) -> Dict[str, int]:
        seen, lost = self._seen(self._source.counters("f0"))
        sink = self._sink.counters("f0")
        self.stack.close()
        return {"seen": seen, "lost": lost + _dropped(sink),
                "delivered": sink["out_netdev"]}

    @staticmethod
    def _seen(counters: Dict[str, int]) -> List[int]:
        return [counters["in_netdev"], _dropped(counters)]


def _dropped(counters: Dict[str, int]) -> int:
    return sum(value for name, value in counters.items()
               if name.startswith("dropped-"))


