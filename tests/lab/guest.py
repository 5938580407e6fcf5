# SPDX-License-Identifier: BSD-2-Clause
"""A real guest: QEMU with the kernel and initramfs of ``tests/guest``."""

import dataclasses
import time
from typing import Optional

from .errors import GuestError
from .netns import GUEST_ADDRESS, GUEST_MAC, TAPS, World
from .paths import Paths
from .process import Child
from .qmp import Qmp


@dataclasses.dataclass(frozen=True)
class Machine:
    """What the source and the destination have in common."""

    accelerator: str = "tcg"
    vhost: bool = False
    memory_mb: int = 256
    dirty_mb: int = 100
    queues: int = 1  # pairs of its NIC, and as many processors


class Guest:
    """A QEMU process on one of the hosts, and its QMP monitor.

    It has two monitors: ``qmp`` belongs to whoever drives the migration,
    ``monitor_path`` is the second one's socket, for a tapferryd.
    """

    def __init__(self, world: World, role: str, machine: Machine,
                 paths: Paths, incoming: Optional[str] = None) -> None:
        self.role = role
        self.monitor_path = world.directory / f"{role}.monitor"
        self._serial = world.directory / f"{role}.serial"
        driver_path = world.directory / f"{role}.qmp"
        tap = f"tap,id=n0,ifname={TAPS[role]},script=no,downscript=no"
        nic = f"virtio-net-pci,netdev=n0,id=nic0,mac={GUEST_MAC},romfile="
        if machine.vhost:
            tap += ",vhost=on"
        if machine.queues > 1:
            tap += f",queues={machine.queues}"
            nic += f",mq=on,vectors={2 * machine.queues + 2}"
        append = (f"console=ttyS0 quiet panic=-1 tsc=reliable "
                  f"ipv6.disable=1 gip={GUEST_ADDRESS}/24")
        if machine.dirty_mb:
            append += f" dirty={machine.dirty_mb}"
        argv = world.inside(
            role, paths.qemu, "-machine", "q35",
            "-accel", machine.accelerator,
            "-cpu", "host" if machine.accelerator == "kvm" else "max",
            "-m", str(machine.memory_mb), "-smp", str(machine.queues),
            "-nodefaults", "-no-user-config", "-display", "none",
            "-no-reboot", "-monitor", "none",
            "-kernel", paths.kernel, "-initrd", paths.initrd,
            "-append", append, "-serial", f"file:{self._serial}",
            "-qmp", f"unix:{driver_path},server=on,wait=off",
            "-qmp", f"unix:{self.monitor_path},server=on,wait=off",
            "-netdev", tap, "-device", nic)
        if incoming:
            argv += ["-incoming", incoming]
        self._child = Child(f"guest on {role}", argv,
                            world.directory / f"{role}.log")
        try:
            self.qmp = Qmp(driver_path)
        except BaseException as error:
            self._child.stop()
            if isinstance(error, Exception):
                raise GuestError(f"QEMU on {role} did not start: "
                                 f"{self._child.last_words()}") from error
            raise

    def __enter__(self) -> "Guest":
        return self

    def __exit__(self, *_error: object) -> None:
        self.qmp.close()
        self._child.stop()

    @property
    def version(self) -> str:
        """QEMU's version."""
        number = self.qmp.greeting["QMP"]["version"]["qemu"]
        return "{major}.{minor}.{micro}".format(**number)

    def wait_boot(self, timeout: float) -> None:
        """Wait for the guest to say that it is up."""
        end = time.monotonic() + timeout
        while b"GUEST-UP" not in self._read_serial():
            self.check()
            if time.monotonic() > end:
                raise GuestError(f"the guest on {self.role} did not boot in "
                                 f"{timeout:.0f} s: {self._last_serial()}")
            time.sleep(0.05)

    def check(self) -> None:
        """Complain if QEMU has ended."""
        if self._child.returncode is not None:
            raise GuestError(f"QEMU on {self.role} ended: "
                             f"{self._child.last_words()} "
                             f"{self._last_serial()}")

    def quit(self) -> None:
        """End QEMU, as a manager does once the guest has moved away."""
        self._child.stop()

    def _read_serial(self) -> bytes:
        return self._serial.read_bytes() if self._serial.exists() else b""

    def _last_serial(self) -> str:
        text = self._read_serial().decode(errors="replace").strip()
        return "serial: " + (" | ".join(text.splitlines()[-3:]) or "nothing")
