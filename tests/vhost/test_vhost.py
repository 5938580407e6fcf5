# SPDX-License-Identifier: BSD-2-Clause
"""The switchover with the kernel's real vhost-net, in a nested machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECK = Path(__file__).resolve().parent / "check.py"
CANNOT = 77
KNOBS = ("RUNS", "RATE", "SIZE", "BOOTS")


def test_no_frame_is_lost_with_vhost_net() -> None:
    """Three migrations with ``vhost=on`` lose and duplicate nothing."""
    # Always the same test, whatever a soak or a demo is asked for.
    environment = {name: value for name, value in os.environ.items()
                   if name not in KNOBS}
    done = subprocess.run([sys.executable, CHECK], text=True, check=False,
                          env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    if done.returncode == CANNOT:
        pytest.skip(done.stdout.strip().splitlines()[-1])
    assert done.returncode == 0, done.stdout
