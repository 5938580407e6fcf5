# SPDX-License-Identifier: BSD-2-Clause
"""QEMU: its filter-mirror beside a guest that runs, and its hub."""

import mmap
from typing import Dict, List

from bench.guest import boot
from bench.programs import Started, needed, own
from bench.stage import Stage
from lab.paths import Paths
from lib.hosts import Host
from lib.program import Program
from lib.waiting import wait_until

from .peer import Load, Peer

_GUEST_TAP = "q0"
_TAP = "script=no,downscript=no"


def _guest_of(stage: Stage) -> Program:
    """The stage's guest, which boots when it is first needed and stands still
    when nobody measures.

    The flood is for another's address: the guest's virtio-net reads and
    drops it, and no guest slows it down, which is the best that QEMU can do.
    """
    guest = stage.kept.get("guest")
    if guest is None:
        needed(Paths().qemu)
        Paths().prepare()
        guest = boot(stage.host, stage.run_directory(), _GUEST_TAP,
                     Paths().initrd)
        stage.site.on_exit(guest.stop)
        guest.execute("stop")
        stage.kept["guest"] = guest
    assert isinstance(guest, Program)
    return guest


class QemuMirror(Peer):
    """QEMU's filter-mirror to a reader that only counts: half the path."""

    entrance = _GUEST_TAP

    def __init__(self, stage: Stage, load: Load) -> None:
        super().__init__(stage, load)
        self._sink: Started
        self._count: mmap.mmap

    def start(self) -> None:
        program = _guest_of(self.stage)
        self._start_sink()
        program.add_chardev("link", self.directory / "link", server=False)
        self.stack.callback(program.execute, "chardev-remove", id="link")
        program.add("filter-mirror", "mirror", queue="tx", outdev="link",
                    vnet_hdr_support=self.load.offloaded)
        self.stack.callback(program.execute, "object-del", id="mirror")
        program.execute("cont")
        self.stack.callback(program.execute, "stop")
        self.processes["QEMU"] = program.pid

    def _start_sink(self) -> None:
        count = self.directory / "count"
        vnet = ["vnet"] if self.load.offloaded else []
        self._sink = Started(
            self.stage.host, self.directory, "sink",
            [own("relay-sink"), f"unix:{self.directory / 'link'}", "-", "64",
             *vnet], BENCH_COUNT=str(count))
        self.stack.enter_context(self._sink)
        self.processes["reader"] = self._sink.pid
        wait_until(lambda: (self.directory / "link").exists() and
                   count.exists() and count.stat().st_size,
                   "the reader to listen")
        with open(count, "r+b") as file:
            self._count = mmap.mmap(file.fileno(), 0)

    def delivered(self) -> int:
        return int.from_bytes(self._count[:8], "little")


class QemuHub(Peer):
    """A QEMU without a machine that joins two TAPs."""

    entrance = "h0"
    exit = "h1"

    def start(self) -> None:
        host = self.stage.host
        program = Program("hub", [
            needed(Paths().qemu), "-machine", "none", "-nodefaults",
            "-no-user-config", "-display", "none", *self._netdevs(host)],
            host, self.directory)
        self.stack.callback(program.stop)
        host.set_up(self.entrance, self.exit)
        self.processes["relay"] = program.pid

    def _netdevs(self, host: Host) -> List[str]:
        arguments = []
        kept: Dict[str, object] = self.stage.kept
        for number, ifname in enumerate((self.entrance, self.exit)):
            if ifname not in kept:
                host.add_tap(ifname)
                kept[ifname] = True
            arguments += [
                "-netdev", f"tap,id=t{number},ifname={ifname},{_TAP},"
                "vnet_hdr=off", "-netdev",
                f"hubport,id=p{number},hubid=0,netdev=t{number}"]
        return arguments
