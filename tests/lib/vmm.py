# SPDX-License-Identifier: BSD-2-Clause
"""A scripted VMM: the end that tests hold (vmm_process.py is the other).

Every step is one call that returns when it is done, so a test knows at any
moment which frame is where: in the TAP's queue, taken and given to the
guest, or taken and never seen by the guest.
"""

import socket
import subprocess
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Dict, List, Optional

from .frames import Frame, numbers_of
from .hosts import Host
from .waiting import wait_until

TUN_F_CSUM = 0x01
TUN_F_TSO4 = 0x02

_PROGRAM = Path(__file__).with_name("vmm_process.py")


class Vmm:
    """A VMM on a host; it runs as long as this object is open."""

    def __init__(self, host: Host, *ifnames: str, vnet: bool = False,
                 offloads: int = 0) -> None:
        self.ifnames = ifnames
        ours, theirs = socket.socketpair()
        with host.entered(), theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_PROGRAM),
                 str(theirs.fileno())],
                stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
        self._connection = Connection(ours.detach())
        for ifname in ifnames:
            self.open(ifname, vnet, offloads)
        host.set_up(*ifnames)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def close(self) -> None:
        """End the process; its TAPs lose their carrier."""
        self._connection.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def kill(self) -> None:
        """End the process as a crash does."""
        self._process.kill()
        self._process.wait()

    def _call(self, name: str, **arguments: Any) -> Any:
        self._connection.send((name, arguments))
        succeeded, value = self._connection.recv()
        assert succeeded, value
        return value

    def _name(self, ifname: Optional[str]) -> str:
        return ifname or self.ifnames[0]

    # TAPs; without a name the first one

    def open(self, ifname: str, vnet: bool = False,
             offloads: int = 0) -> None:
        """Open a TAP."""
        self._call("open", ifname=ifname, vnet=vnet, offloads=offloads)

    def close_tap(self, ifname: Optional[str] = None) -> None:
        """Close a TAP."""
        self._call("close", ifname=self._name(ifname))

    def read(self, reading: bool = True,
             ifname: Optional[str] = None) -> None:
        """Give the guest every frame as it comes, or leave them where
        they are."""
        self._call("read", ifname=self._name(ifname), reading=reading)

    def write(self, frames: List[bytes]) -> None:
        """The guest sends frames."""
        self._call("write", ifname=self._name(None), frames=frames)

    def swallow(self, count: int, ifname: Optional[str] = None) -> None:
        """Take exactly so many frames that the guest does not see."""
        self._call("swallow", ifname=self._name(ifname), count=count)

    def give_kept(self) -> None:
        """Give the guest what was swallowed, as a VMM does that has kept
        it."""
        self._call("give_kept", ifname=self._name(None))

    def forget_kept(self) -> None:
        """What was swallowed is gone for good, as with vhost."""
        self._call("forget_kept", ifname=self._name(None))

    def frames(self, ifname: Optional[str] = None) -> List[Frame]:
        """What the guest got."""
        return [Frame(data, vnet) for vnet, data in
                self._call("frames", ifname=self._name(ifname))]

    def numbers(self, ifname: Optional[str] = None) -> List[int]:
        """The numbers of the frames that the guest got, every byte of
        which must be right."""
        return numbers_of(self.frames(ifname))

    def count(self, ifname: Optional[str] = None) -> int:
        """How many frames the guest got."""
        count: int = self._call("count", ifname=self._name(ifname))
        return count

    def wait_count(self, count: int, ifname: Optional[str] = None) -> None:
        """Wait until the guest got so many frames."""
        wait_until(lambda: self.count(ifname) >= count,
                   f"{count} frames at the guest")

    # The virtual machine

    def serve(self, path: Path, events: bool = True,
              virtio: bool = True) -> None:
        """Open the monitor.  ``events``: the migration capability of that
        name is on; ``virtio``: it tells where the used index lies."""
        self._call("serve", path=str(path), events=events, virtio=virtio)

    def set_features(self, *names: str) -> None:
        """What the guest's driver has agreed to besides."""
        self._call("set_features", names=list(names))

    def unserve(self) -> None:
        """Close the monitor and every connection to it."""
        self._call("unserve")

    def set_status(self, status: str) -> None:
        """Change the run state without telling anybody."""
        self._call("set_status", status=status)

    def emit(self, event: str,
             data: Optional[Dict[str, Any]] = None) -> None:
        """Send an event."""
        self._call("emit", event=event, data=data)

    def migration(self, status: str) -> None:
        """A migration enters a state."""
        self.emit("MIGRATION", {"status": status})

    def stop(self) -> None:
        """The virtual machine stops; its TAPs are read no more."""
        for ifname in self.ifnames:
            self.read(False, ifname)
        self.set_status("paused")
        self.emit("STOP")

    def resume(self) -> None:
        """The virtual machine runs again and reads its TAPs."""
        self.set_status("running")
        for ifname in self.ifnames:
            self.read(True, ifname)
        self.emit("RESUME")

    def commands(self) -> List[str]:
        """The commands that came over the monitor."""
        commands: List[str] = self._call("commands")
        return commands
