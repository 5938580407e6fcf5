# SPDX-License-Identifier: BSD-2-Clause
"""What a0 carries, into a file: half a path."""

import contextlib
import struct
from pathlib import Path
from typing import Dict

from bench.programs import Started, needed
from bench.stage import Stage
from lib.daemon import Daemon
from lib.waiting import wait_until

from .peer import Load, Peer

_PCAP_RECORD = 16  # bytes in front of each frame
_ENHANCED_PACKET_BLOCK = 6


def _count_frames(path: Path) -> int:
    """The frames in a pcapng file: its blocks of that type."""
    data = path.read_bytes()
    frames = at = 0
    while at < len(data):
        kind, length = struct.unpack_from("=II", data, at)
        frames += kind == _ENHANCED_PACKET_BLOCK
        at += length
    return frames


class Dump(Peer):
    """filter-dump to pcapng."""

    def __init__(self, stage: Stage, load: Load) -> None:
        super().__init__(stage, load)
        self._file = self.directory / "dump"
        self._daemon: Daemon

    def start(self) -> None:
        self._daemon = Daemon(self.stage.host, self.directory, "source", [
            "-netdev", "tap,id=n0,ifname=a0", "-object", "filter-dump,id=f0,"
            f"netdev=n0,queue=tx,format=pcapng,file={self._file}"])
        self.stack.callback(self._daemon.stop)
        self.processes["source"] = self._daemon.pid

    def _missed(self) -> int:
        missed: int = self._daemon.execute(
            "qom-get", path="/netdevs/n0", property="dropped-nic-packets")
        return missed

    def delivered(self) -> int:
        counters = self._daemon.counters("f0")
        return counters["packets-tx"] - counters["dropped-queue-full"]

    def settle(self, sent: int) -> None:
        with contextlib.suppress(AssertionError):
            wait_until(lambda: self._missed() + self._daemon.counter(
                "f0", "packets-tx") == sent, "all frames to be seen")

    def finish(self) -> Dict[str, int]:
        missed = self._missed()
        counters = self._daemon.counters("f0")
        self.stack.close()
        return {"seen": counters["packets-tx"] + missed,
                "lost": missed + counters["dropped-queue-full"],
                "delivered": _count_frames(self._file)}


class Tcpdump(Peer):
    """tcpdump -w, with 4 MiB of buffer as tapferry has."""

    def __init__(self, stage: Stage, load: Load) -> None:
        super().__init__(stage, load)
        self._file = self.directory / "dump"

    def start(self) -> None:
        program = Started(self.stage.host, self.directory, "tcpdump", [
            needed("tcpdump"), "-n", "-Q", "out", "-B", "4096", "-i", "a0",
            "-w", str(self._file)])
        self.stack.enter_context(program)
        program.wait_log("listening on")
        self.processes["tcpdump"] = program.pid

    def delivered(self) -> int:
        size = self._file.stat().st_size if self._file.exists() else 0
        return size // (self.load.size + _PCAP_RECORD)
