# SPDX-License-Identifier: BSD-2-Clause
"""What a daemon costs a VM's own traffic: iperf3 into a guest and through a
cable, with the daemon and without it in the same rounds."""

import contextlib
import io
import json
import subprocess
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, Tuple

from lab.errors import LabError, Unavailable
from lib.daemon import Daemon
from lib.hosts import Host, connect
from lib.site import Site
from lib.waiting import wait_until

from .figures import Json, Spread, ratio, table
from .guest import ADDRESS, TAP, Guest
from .programs import Started, needed, own
from .settings import Settings, noted, say

WITHOUT = "without"
ARMED = "armed, no migration"
_SERVER_S = 60.0
SMALL_PAYLOAD = 22  # bytes: a frame of 64
UNITS = {"TCP": ("Gbit/s", 1e9), "UDP, 64 B": ("k/s", 1e3)}
_REDIRECTOR = "filter-redirector,id=f0,netdev=n0,in_netdev=n0,outdev=l0," \
    "capture=undelivered"


def _tcp(end: Json) -> float:
    return float(end["sum_received"]["bits_per_second"])


def _udp(end: Json) -> float:
    summary = end["sum"]
    return float((summary["packets"] - summary["lost_packets"]) /
                 summary["seconds"])


KINDS: Dict[str, Tuple[List[str], Callable[[Json], float]]] = {
    "TCP": ([], _tcp),
    "UDP, 64 B": (["-u", "-b", "0", "-l", str(SMALL_PAYLOAD)], _udp),
}


def _seen(daemon: Daemon) -> int:
    """Frames that its filter has mirrored or captured."""
    counters = daemon.counters("f0")
    return counters["packets-tx"] + counters.get("in_netdev", 0)


class Road:
    """Where traffic goes: from whose namespace to which address, past which
    interface, and what daemons can stand there."""

    def __init__(self, site: Site, directory: Path) -> None:
        self.site = site
        self.directory = directory
        self.host: Host = site.host()
        self.ifname = ""
        self.target = ""
        self._error = ""
        self.options: Dict[str, List[str]] = {
            "mirror": ["-object", "filter-mirror,id=f0,netdev=n0,queue=all,"
                       "outdev=l0,vnet_hdr_support=on"],
            "capturing": ["-object", f"{_REDIRECTOR},arm=always"],
        }

    def iperf3(self, kind: str, seconds: float) -> float:
        """The rate that the far end received.  Tried again when the server
        was not ready, or the flood hit iperf3's own connection."""
        return wait_until(lambda: self._iperf3(kind, seconds), lambda:
                          f"iperf3 to {self.target}: {self._error}",
                          _SERVER_S)

    def _iperf3(self, kind: str, seconds: float) -> Optional[float]:
        more, rate = KINDS[kind]
        with self.host.entered():
            done = subprocess.run(
                [needed("iperf3"), "-J", "-c", self.target, "-t",
                 f"{max(seconds, 1):.0f}", *more], text=True, check=False,
                timeout=120, stdout=subprocess.PIPE)
        result: Json = json.loads(done.stdout)
        self._error = result.get("error", "")
        return None if done.returncode or self._error else rate(result["end"])

    @contextlib.contextmanager
    def daemon(self, name: str) -> Iterator[None]:
        """With this daemon, or without one.  All but one that is armed must
        have seen the traffic."""
        if name == WITHOUT:
            yield
            return
        link = self.directory / "link"
        link.unlink(missing_ok=True)
        with Started(self.host, self.directory, "reader", [
                own("relay-sink"), f"unix:{link}", "-", "64", "vnet"]):
            wait_until(link.exists, "the reader to listen")
            with Daemon(self.host, self.directory, "tapferryd", [
                    "-chardev", f"socket,id=l0,path={link}",
                    *self.before(name), "-netdev",
                    f"tap,id=n0,ifname={self.ifname}{self.vm(name)}",
                    *self.options[name]]) as daemon:
                daemon.wait_connected("l0")
                if name == ARMED:
                    # Until it knows of no migration, it captures.
                    daemon.wait_phase("idle", name="f0")
                before = _seen(daemon)
                yield
                seen = _seen(daemon) - before
        if (seen > 0) == (name == ARMED):
            raise LabError(f"{name}: {seen} frames seen")

    def before(self, name: str) -> List[str]:
        """Objects that a daemon's netdev needs."""
        del name
        return []

    def vm(self, name: str) -> str:
        """Whose TAP it is, as a property."""
        del name
        return ""


class Cable(Road):
    """A veth pair to a server in another namespace."""

    def __init__(self, site: Site, directory: Path) -> None:
        super().__init__(site, directory)
        other = site.host()
        connect(self.host, "v0", other, "v1")
        self.host.ip("addr add 10.0.1.1/24 dev v0")
        other.ip("addr add 10.0.1.2/24 dev v1")
        self.ifname, self.target = "v0", "10.0.1.2"
        server = Started(other, directory, "iperf3", [
            needed("iperf3"), "-s", "--forceflush"])
        site.on_exit(lambda: server.__exit__(None, None, None))


class Machine(Road):
    """A guest."""

    def __init__(self, site: Site, directory: Path) -> None:
        super().__init__(site, directory)
        self._guest = Guest(self.host, directory)
        site.on_exit(self._guest.program.stop)
        self.ifname, self.target = TAP, ADDRESS
        self.options = {
            "mirror": self.options["mirror"],
            ARMED: ["-object", f"{_REDIRECTOR},arm=auto"],
            "capturing": self.options["capturing"],
        }

    def before(self, name: str) -> List[str]:
        return [] if name == "mirror" else \
            ["-object", f"vm-qmp,id=vm0,addr=unix:{self._guest.monitor}"]

    def vm(self, name: str) -> str:
        return "" if name == "mirror" else ",vm=vm0"


ROADS = {"guest": Machine, "veth": Cable}
Key = Tuple[str, str]  # road, kind


class Traffic:
    """Each road, each kind of traffic, without and with, in rounds."""

    name = "traffic"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._rates: Dict[Key, Dict[str, List[float]]] = {}
        self._missing: Dict[str, str] = {}
        self._problems: List[str] = []

    def run(self) -> None:
        """Measure."""
        for name, maker in ROADS.items():
            with contextlib.redirect_stdout(io.StringIO()), Site() as site:
                try:
                    road = maker(site, site.directory)
                except Unavailable as why:
                    self._missing[name] = str(why)
                    continue
                for number in range(self._settings.rounds):
                    self._round(name, road, number)

    def _round(self, name: str, road: Road, number: int) -> None:
        cases = [WITHOUT, *road.options]
        turn = number % len(cases)
        for case in cases[turn:] + cases[:turn]:
            with noted(self._problems, f"{name}, {case}"), road.daemon(case):
                for kind in KINDS:
                    rate = road.iperf3(kind, 2 * self._settings.seconds)
                    say(f"{name}, {kind}, {case}: {rate:,.0f}/s")
                    self._rates.setdefault((name, kind), {}).setdefault(
                        case, []).append(rate)

    def text(self) -> str:
        """The table."""
        rows = []
        for (road, kind), cases in self._rates.items():
            unit, scale = UNITS[kind]
            for case, rates in cases.items():
                relative = "" if case == WITHOUT else _relative(
                    rates, cases).text(digits=2)
                rows.append((f"{road}, {kind}, {case}",
                             Spread.of(rates).text(scale), unit, relative))
        text = table(("a VM's own traffic", "rate", "", "of without"), rows)
        return "\n".join([text, *(f"left out: {name}: {why}"
                                  for name, why in self._missing.items())])

    def json(self) -> Json:
        """All of it."""
        return {f"{road}, {kind}": {
            case: {"rate": Spread.of(rates).json(), "rounds": rates,
                   "of_without": _relative(rates, cases).json()}
            for case, rates in cases.items()}
            for (road, kind), cases in self._rates.items()}

    def problems(self) -> List[str]:
        """Where nothing arrived."""
        return self._problems + [
            f"{road}, {kind}, {case}: nothing arrived"
                for (road, kind), cases in self._rates.items()
                for case, rates in cases.items() if min(rates) <= 0]


def _relative(rates: List[float], cases: Dict[str, List[float]]) -> Spread:
    """To what it is without a daemon."""
    return ratio(rates, cases.get(WITHOUT, rates))
