# SPDX-License-Identifier: BSD-2-Clause
"""The command line of ``python3 -m lab.migration``.

Exit status 0: every run was carried out, whatever was lost; 1: one could
not be (which says nothing about losses); 128 + N: ended by signal N.
"""

import argparse
import json
import sys
from typing import List, Optional

from .errors import LabError
from .guest import Machine
from .migration import run
from .process import Interrupted, interruptible
from .result import ACTIONS, MODES, Scenario

_DEFAULT = Scenario()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lab.migration",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        description="live-migrate a guest under a counted packet stream")
    add = parser.add_argument
    add("--mode", choices=MODES, default="none",
        help="without any help, with a plain capture and replay, or with "
             "tapferry")
    add("--action", choices=ACTIONS, default="migrate",
        help="what happens under the stream: a migration, one cancelled "
             "while the guest runs, one cancelled when it has stopped, or "
             "stop and cont alone")
    add("--runs", type=int, default=1, help="how often")
    add("--pps", type=int, default=_DEFAULT.pps, help="datagrams a second")
    add("--size", type=int, default=_DEFAULT.size,
        help="bytes of an Ethernet frame")
    add("--super-pps", type=int, default=0,
        help="TCP super-frames of 2 to 60 KB a second beside them")
    add("--dirty-mb", type=int, default=_DEFAULT.machine.dirty_mb,
        help="memory that the guest keeps dirtying")
    add("--bandwidth-mb", type=int, default=_DEFAULT.bandwidth_mb,
        help="the migration's limit, MB/s")
    add("--downtime-limit", type=int, default=_DEFAULT.downtime_limit_ms,
        help="QEMU's parameter, ms; 0: one pass over the memory, then stop "
             "and copy (see result.py before you change it under TCG)")
    add("--pause-ms", type=int, default=_DEFAULT.pause_ms,
        help="stay stopped for as long before the switchover")
    add("--txqueuelen", type=int, help="of both TAPs; kernel's default")
    add("--accelerator", choices=("tcg", "kvm"), default="tcg",
        help="QEMU's")
    add("--vhost", action="store_true", help="vhost-net in both guests")
    add("--queues", type=int, default=_DEFAULT.machine.queues,
        help="pairs of the guest's NIC and of the TAPs, and processors")
    add("--memory-mb", type=int, default=_DEFAULT.machine.memory_mb,
        help="the guest's")
    add("--quit-source", action="store_true",
        help="end the source's QEMU as soon as the guest has moved")
    add("--kill-daemon", action="store_true",
        help="within --pause-ms, kill -9 of the source's daemon, and another "
             "one in its place")
    add("--broadcast", action="store_true",
        help="send to the network's broadcast address, so that each packet "
             "reaches both hosts")
    add("--announce", action="store_true",
        help="announce the guest's new place by tapferry's object, behind "
             "the backlog, and not by QEMU")
    add("--source-property", action="append", default=[], metavar="K=V",
        help="one more property of the source's redirector")
    add("--destination-property", action="append", default=[],
        metavar="K=V", help="one more of the destination's")
    add("--boot-timeout", type=float, default=_DEFAULT.boot_timeout_s,
        help="seconds")
    add("--packets", action="store_true",
        help="print each packet of the stream, too")
    add("--keep-logs", action="store_true",
        help="leave the directory with the logs, say where")
    return parser


def _scenario(options: argparse.Namespace) -> Scenario:
    return Scenario(
        mode=options.mode, action=options.action, pps=options.pps,
        size=options.size, super_pps=options.super_pps,
        machine=Machine(options.accelerator, options.vhost,
                        options.memory_mb, options.dirty_mb,
                        options.queues),
        bandwidth_mb=options.bandwidth_mb,
        downtime_limit_ms=options.downtime_limit, pause_ms=options.pause_ms,
        txqueuelen=options.txqueuelen,
        quit_source=options.quit_source,
        kill_daemon=options.kill_daemon, announce=options.announce,
        broadcast=options.broadcast,
        source_properties=tuple(options.source_property),
        destination_properties=tuple(options.destination_property),
        boot_timeout_s=options.boot_timeout, keep_logs=options.keep_logs)


def _say(text: str) -> None:
    print(f"lab: {text}", file=sys.stderr, flush=True)


def main(arguments: Optional[List[str]] = None) -> int:
    """Carry out the runs, print one JSON document for each."""
    options = _parser().parse_args(arguments)
    try:
        with interruptible():
            for _ in range(options.runs):
                result = run(_scenario(options), progress=_say)
                print(json.dumps(result.to_json(options.packets)),
                      flush=True)
    except LabError as error:
        _say(f"{type(error).__name__}: {error}")
        return 1
    except Interrupted as interrupted:
        return 128 + interrupted.number
    return 0
