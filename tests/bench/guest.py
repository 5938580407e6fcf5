# SPDX-License-Identifier: BSD-2-Clause
"""The tests' guest, and one with iperf3 in it: an archive behind the initramfs,
which the kernel unpacks over it."""

import gzip
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from lab.paths import Paths
from lib.hosts import Host
from lib.program import Program
from lib.waiting import wait_until

from .programs import needed

BOOT_S = 180.0
TAP = "g0"
ADDRESS = "10.0.0.2"
_EXTRA = "#!/bin/sh\nmkdir -p /tmp\nexec iperf3 -s\n"


def _copy(root: Path, path: str) -> None:
    to = root / path.lstrip("/")
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, to)


def make_initrd(to: Path) -> None:
    """Write the initramfs; Unavailable where the parts are not to be had."""
    iperf3 = needed("iperf3")
    paths = Paths()
    paths.prepare()
    libraries = subprocess.run(["ldd", iperf3], text=True, check=True,
                               stdout=subprocess.PIPE).stdout
    with tempfile.TemporaryDirectory(prefix="tapferry-") as name:
        root = Path(name)
        for path in re.findall(r"(/\S+) \(", libraries):
            _copy(root, path)
        (root / "bin").mkdir(exist_ok=True)
        shutil.copy(iperf3, root / "bin/iperf3")
        extra = root / "extra"
        extra.write_text(_EXTRA, encoding="ascii")
        extra.chmod(0o755)
        files = "\n".join(str(path.relative_to(root))
                          for path in sorted(root.rglob("*")))
        archive = subprocess.run(
            ["cpio", "-o", "-H", "newc", "--quiet", "-R", "0:0"], cwd=root,
            input=files.encode(), check=True, stdout=subprocess.PIPE).stdout
    to.write_bytes(paths.initrd.read_bytes() + gzip.compress(archive, 1))


def boot(host: Host, directory: Path, ifname: str, initrd: Path,
         *more: str) -> Program:
    """A QEMU whose guest is up and has a new TAP of this name."""
    paths = Paths()
    host.add_tap(ifname)
    serial = directory / "serial"
    program = Program("guest", [
        needed(paths.qemu), "-machine", "q35", "-accel", "tcg", "-cpu",
        "max", "-m", "256", "-nodefaults", "-no-user-config", "-display",
        "none", "-kernel", str(paths.kernel), "-initrd", str(initrd),
        "-append", "console=ttyS0 quiet panic=-1 tsc=reliable "
        f"ipv6.disable=1 gip={ADDRESS}/24", "-serial", f"file:{serial}",
        "-netdev", f"tap,id=n0,ifname={ifname},script=no,downscript=no",
        "-device", "virtio-net-pci,id=nic0,netdev=n0,romfile=", *more],
        host, directory)
    try:
        wait_until(lambda: b"GUEST-UP" in (
            serial.read_bytes() if serial.exists() else b""),
            "the guest to boot", BOOT_S)
        host.set_up(ifname)
    except BaseException:
        program.stop()
        raise
    return program


class Guest:
    """A guest that runs an iperf3 server, on a TAP of its host's."""

    def __init__(self, host: Host, directory: Path) -> None:
        needed(Paths().qemu)
        initrd = directory / "initrd.gz"
        make_initrd(initrd)
        self.monitor = directory / "monitor"
        self.program = boot(
            host, directory, TAP, initrd, "-qmp",
            f"unix:{self.monitor},server=on,wait=off")
        # What a manager does who wants the daemon to know of a migration.
        self.program.execute("migrate-set-capabilities", capabilities=[
            {"capability": "events", "state": True}])
        host.ip(f"addr add 10.0.0.1/24 dev {TAP}")
