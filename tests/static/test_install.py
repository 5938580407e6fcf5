# SPDX-License-Identifier: BSD-2-Clause
"""`make install` puts everything where DESTDIR and PREFIX say."""

import os
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parent.parent.parent
BUILD = Path(os.environ.get("BUILD", TOP / "build")).resolve()
INSTALLED = {"bin/tapferry", "sbin/tapferryd", "share/man/man1/tapferry.1",
             "share/man/man7/tapferry-filters.7",
             "share/man/man8/tapferryd.8"}


# The default comes last, so that it is what the build keeps.
@pytest.mark.parametrize("prefix", ["/opt/tapferry", "/usr/local"])
def test_install(prefix: str, tmp_path: Path) -> None:
    """A build of any prefix can be installed under another one."""
    subprocess.run(["make", "-C", str(TOP), "install", f"BUILD={BUILD}",
                    f"PREFIX={prefix}", f"DESTDIR={tmp_path}"], check=True)
    root = tmp_path / prefix.lstrip("/")
    assert {str(path.relative_to(root)) for path in root.rglob("*")
            if path.is_file()} == INSTALLED
    for name in ("bin/tapferry", "sbin/tapferryd"):
        subprocess.run([root / name, "--version"], check=True)
