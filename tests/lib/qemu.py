# SPDX-License-Identifier: BSD-2-Clause
"""The real thing: a QEMU whose netdevs and filters are at the other end, or
go through the same as ours."""

import os
import shutil
from pathlib import Path
from typing import List, Optional, Sequence

import pytest

from .hosts import Host
from .program import Program


def program() -> Optional[str]:
    """QEMU's program, if it is here."""
    return shutil.which(os.environ.get("QEMU", "qemu-system-x86_64"))


needs_qemu = pytest.mark.skipif(not program(),
                                reason="there is no QEMU here")


class Qemu(Program):
    """A QEMU; without a machine, only its netdevs have work to do."""

    def __init__(self, *arguments: str, machine: str = "none",
                 name: str = "qemu", host: Optional[Host] = None,
                 directory: Optional[Path] = None,
                 pass_fds: Sequence[int] = ()) -> None:
        super().__init__(name, [
            str(program()), "-machine", machine, "-nodefaults",
            "-no-user-config", "-display", "none", *arguments],
            host, directory, pass_fds)


def hub(netdevs: int) -> List[str]:
    """Joins the netdevs q0, q1, ... of a QEMU: what one receives, the
    others send."""
    return [word for i in range(netdevs) for word in (
        "-netdev", f"hubport,id=h{i},hubid=0,netdev=q{i}")]


def nic(name: str, netdev: str, model: str = "e1000") -> List[str]:
    """A netdev of this name (and its other options) with a NIC that has no
    firmware of its own, which would send something."""
    kind, _, options = netdev.partition(",")
    return ["-netdev", f"{kind},id={name},{options}",
            "-device", f"{model},id=nic,netdev={name},romfile="]
