# SPDX-License-Identifier: BSD-2-Clause
"""What a run is stored with: on which machine, of which build."""

import os
import platform
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import List

from lab.paths import TOP, Paths

from .figures import Json


def _output(*argv: str) -> str:
    if shutil.which(argv[0]) is None:
        return ""
    done = subprocess.run(argv, text=True, check=False, cwd=TOP,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    lines = done.stdout.splitlines()
    return lines[0].strip() if lines else ""


def machine() -> Json:
    """Where and with what this run took place."""
    cpus = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"model name\s*: (.*)", cpus)
    paths = Paths()
    changed = _output("git", "status", "--porcelain", "--untracked-files=no")
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "processors": os.cpu_count(),
        "model": model[1] if model else "unknown",
        "kernel": platform.release(),
        "load_before": os.getloadavg()[0],
        "qemu": _output(paths.qemu, "--version"),
        "tapferryd": _output(str(paths.tapferryd), "--version"),
        "commit": _output("git", "rev-parse", "HEAD") +
                  (" and changes" if changed else ""),
    }


def about(stored: Json) -> List[str]:
    """Two lines for who reads a run's figures."""
    busy = stored["load_before"] > (stored["processors"] or 1) / 2
    return [
        f"{stored['processors']} x {stored['model']}, Linux "
        f"{stored['kernel']}, {stored['qemu']}",
        f"{stored['time']}, {stored['commit'][:12]}, load before "
        f"it {stored['load_before']:.1f}"
        f"{': others were at work on this machine' if busy else ''}"]
