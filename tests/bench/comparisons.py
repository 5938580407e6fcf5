# SPDX-License-Identifier: BSD-2-Clause
"""Who is compared with whom, carrying what."""

import dataclasses
from typing import Callable, Dict, List

from .peers import tapferry
from .peers.dump import Dump, Tcpdump
from .peers.kernel import Kernel
from .peers.peer import Load, Peer
from .peers.qemu import QemuHub, QemuMirror
from .peers.reference import Reference
from .peers.socat import Socat
from .peers.tcpreplay import Tcpreplay
from .stage import Stage

Maker = Callable[[Stage, Load], Peer]
Peers = Dict[str, Maker]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Who carries a load in the same rounds; the ratios are of the first
    to each of the others.  ``full``: only if all is asked for."""

    name: str
    load: Load
    peers: Peers
    full: bool = False


def _reference_per_frame(stage: Stage, load: Load) -> Peer:
    return Reference(stage, load, 1)


_REFERENCES: Peers = {
    "reference, batches": Reference,
    "reference, a write a frame": _reference_per_frame,
}
_OURS: Peers = {"tapferry": tapferry.Tapferry}
_QEMU: Peers = {"QEMU filter-mirror": QemuMirror, "QEMU hub": QemuHub}
_ALL: Peers = {**_OURS, **_REFERENCES, "nft fwd": Kernel, **_QEMU,
               "socat": Socat, "tcpdump, tcpreplay": Tcpreplay}
# No offloads: the hub's TAPs and the two others do not know of them.
_LARGE: Peers = {**_OURS, **_REFERENCES, "nft fwd": Kernel,
                 "QEMU filter-mirror": QemuMirror}
_FILTERS: Peers = {
    "redirector": tapferry.Tapferry,
    "redirector, dedup=off": tapferry.WithoutDedup,
    "mirror": tapferry.Mirror,
    "buffer, mirror": tapferry.Buffer,
    "8 mirrors": tapferry.EightMirrors,
}
# Of all those who appear in a comparison or another section, the others.
THEIRS = {*_REFERENCES, *_QEMU, "nft fwd", "socat", "tcpdump, tcpreplay",
          "tcpdump", "sendmmsg alone", "without"}
_FILES: Peers = {"dump": Dump, "tcpdump": Tcpdump}


def _three_links(size: int, full: bool) -> List[Comparison]:
    name = f"{size:,} B, TCP"
    return [Comparison(name, Load(size, "tcp"), {**_OURS, **_REFERENCES},
                       full),
            Comparison(f"{name}, TLS", Load(size, "tcp", tls=True), _OURS,
                       full)]


COMPARISONS: List[Comparison] = [
    Comparison("64 B, unix", Load(64), _ALL),
    Comparison("1,500 B, unix", Load(1500), _ALL),
    Comparison("60,000 B, unix", Load(60000), _LARGE),
    *_three_links(64, False),
    *_three_links(1500, True),
    *_three_links(60000, True),
    Comparison("64 B, unix, filters", Load(64), _FILTERS),
    Comparison("1,500 B, unix, filters", Load(1500), _FILTERS, True),
    Comparison("60,000 B, unix, filters", Load(60000), _FILTERS, True),
    Comparison("64 B, to a file", Load(64), _FILES),
    Comparison("1,500 B, to a file", Load(1500), _FILES, True),
]
