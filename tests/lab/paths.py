# SPDX-License-Identifier: BSD-2-Clause
"""Where the laboratory finds its programs; each place can be set from
outside, so that it also runs inside a minimal machine without compilers."""

import dataclasses
import os
import shutil
import subprocess
from pathlib import Path

from .errors import LabError, Unavailable

LAB = Path(__file__).resolve().parent
TOP = LAB.parent.parent
_UNAVAILABLE = 77  # the guest's build script: not on this machine


def _from_environment(variable: str, default: Path) -> Path:
    return Path(os.environ.get(variable) or default)


def _build_directory() -> Path:
    return _from_environment("TAPFERRY_BUILD", TOP / "build")


@dataclasses.dataclass(frozen=True)
class Paths:
    """The files a run needs.

    TAPFERRY_BUILD   the build directory           (build)
    TAPFERRYD        the daemon                    (build/tapferryd)
    TAPFERRY         the command line tool         (beside the daemon)
    TAPFERRY_CACHE   where the guest's files are   (build/guest)
    UDPSTREAM        the stream client             (build/lab/udpstream)
    QEMU             qemu-system-x86_64
    """

    build: Path = dataclasses.field(default_factory=_build_directory)
    tapferryd: Path = dataclasses.field(
        default_factory=lambda: _from_environment(
            "TAPFERRYD", _build_directory() / "tapferryd"))
    tapferry: Path = dataclasses.field(
        default_factory=lambda: _from_environment(
            "TAPFERRY", _from_environment(
                "TAPFERRYD", _build_directory() / "tapferryd"
            ).with_name("tapferry")))
    guest: Path = dataclasses.field(
        default_factory=lambda: _from_environment(
            "TAPFERRY_CACHE", _build_directory() / "guest"))
    udpstream: Path = dataclasses.field(
        default_factory=lambda: _from_environment(
            "UDPSTREAM", _build_directory() / "lab" / "udpstream"))
    qemu: str = dataclasses.field(
        default_factory=lambda: os.environ.get("QEMU", "qemu-system-x86_64"))

    @property
    def kernel(self) -> Path:
        """The guest's kernel."""
        return self.guest / "vmlinuz"

    @property
    def initrd(self) -> Path:
        """The guest's initial RAM disk."""
        return self.guest / "initrd.gz"

    def prepare(self) -> None:
        """Make the guest and the stream client where they are missing or
        older than their sources.

        Raises Unavailable where this machine can't do it or lacks QEMU.
        """
        if shutil.which(self.qemu) is None:
            raise Unavailable(f"{self.qemu} is not installed")
        self._prepare_guest()
        self._prepare_udpstream()

    def _prepare_guest(self) -> None:
        script = LAB.parent / "guest" / "build.sh"
        if not script.exists():
            if self.kernel.exists() and self.initrd.exists():
                return
            raise Unavailable(f"no guest in {self.guest}, no {script}")
        done = subprocess.run([script, self.guest], text=True, check=False,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=300)
        if done.returncode:
            last = done.stdout.strip().splitlines()[-1:] or ["no output"]
            error = Unavailable if done.returncode == _UNAVAILABLE \
                else LabError
            raise error(f"the guest can't be built: {last[0]}")

    def _prepare_udpstream(self) -> None:
        source = LAB / "udpstream.c"
        if self.udpstream.exists() and (
                not source.exists() or
                source.stat().st_mtime <= self.udpstream.stat().st_mtime):
            return
        self.udpstream.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.udpstream.with_suffix(f".{os.getpid()}")
        compiler = os.environ.get("CC", "gcc").split()
        try:
            subprocess.run([*compiler, "-std=gnu17", "-O2", "-Wall",
                            "-Wextra", "-o", fresh, source], check=True,
                           timeout=60)
            fresh.replace(self.udpstream)
        except (OSError, subprocess.SubprocessError) as error:
            raise LabError(f"{source.name} can't be compiled: {error}") \
                from error
        finally:
            fresh.unlink(missing_ok=True)
