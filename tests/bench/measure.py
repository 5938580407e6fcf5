# SPDX-License-Identifier: BSD-2-Clause
"""One measurement: a flood along the path for a while."""

import dataclasses
import time
from typing import Dict, Optional, Tuple

from lib.waiting import wait_until

from .cpu import cpu_ns
from .peers.peer import Peer

WARM_UP_S = 0.15
LONGEST_S = 60.0


@dataclasses.dataclass
class Sample:
    """What was seen of one run."""

    pps: float
    gbit_s: float
    offered_pps: float
    loss: float                 # of all frames sent, 0 to 1
    cpu_us: Dict[str, float]    # a frame delivered, by process
    sent: int
    delivered: int
    unaccounted: Optional[int]  # None: the peer keeps no account


def _read(peer: Peer) -> Tuple[float, int, Dict[str, int]]:
    """Time in s, frames delivered, and processor times."""
    return (time.monotonic(), peer.delivered(),
            {name: cpu_ns(pid) for name, pid in peer.processes.items()})


def measure(peer: Peer, seconds: float) -> Sample:
    """Flood a peer that has not started yet."""
    with peer:
        before = peer.delivered()
        flood = peer.stage.flood(peer.entrance, peer.load.size, LONGEST_S)
        with flood:
            wait_until(lambda: peer.delivered() > before, "the first frame")
            time.sleep(WARM_UP_S)
            begin = _read(peer)
            time.sleep(seconds)
            end = _read(peer)
            result = flood.stop()
        peer.settle(result["sent"])
        delivered = peer.delivered() - before
        account = peer.finish()
    frames = end[1] - begin[1]
    pps = frames / (end[0] - begin[0])
    sent = result["sent"]
    return Sample(
        pps, pps * peer.load.size * 8e-9, sent / result["seconds"],
        max(1 - delivered / sent, 0) if sent else 0,
        {name: (end[2][name] - begin[2][name]) / 1000 / max(frames, 1)
         for name in peer.processes},
        sent, delivered, _unaccounted(account, sent, delivered))


def _unaccounted(account: Dict[str, int], sent: int,
                 delivered: int) -> Optional[int]:
    """Frames without a place in the peer's own account."""
    if not account:
        return None
    return abs(sent - account["seen"]) + \
        abs(delivered - account["delivered"]) + \
        abs(account["seen"] - account["lost"] - account["delivered"])
